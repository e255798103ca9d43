import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Publish a click and take lists of recommendations, with Kafka's own clients. */
public class Example {
    static final String BROKERS = System.getenv().getOrDefault("KAFKA_BROKERS", "127.0.0.1:9092");
    static final ObjectMapper JSON = new ObjectMapper();

    /** Publishes a click and returns its id. */
    static String publish(String user, String item) throws Exception {
        // A click that is sent twice under one id counts once.
        String id = UUID.randomUUID().toString();
        Map<String, Object> click = Map.of(
            "event_id", id, "user_id", user, "item_id", item, "timestamp", System.currentTimeMillis());
        Map<String, Object> options = Map.of("bootstrap.servers", BROKERS);
        var text = new StringSerializer();
        // In a service: one producer, made once. The key must be the user: with it, all clicks of a
        // user stand in one partition, in order.
        try (var producer = new KafkaProducer<>(options, text, text)) {
            producer.send(new ProducerRecord<>("clicks", user, JSON.writeValueAsString(click))).get();
        }
        return id;
    }

    /** By user and partition of clicks, the offset of the newest click whose list was seen. */
    static final Map<String, Map<String, Long>> SEEN = new HashMap<>();

    /**
     * Whether a list is new. It may come again after a crash of its worker. The click that caused it
     * tells: of the clicks in one partition, offsets only grow.
     */
    static boolean isNew(JsonNode list) {
        JsonNode trigger = list.get("trigger");
        var seen = SEEN.computeIfAbsent(list.get("user_id").asText(), user -> new HashMap<>());
        String place = trigger.get("topic").asText() + "/" + trigger.get("partition").asText();
        long offset = trigger.get("offset").asLong();
        if (offset <= seen.getOrDefault(place, -1L)) return false;
        seen.put(place, offset);
        return true;
    }

    public static void main(String[] arguments) throws Exception {
        String user = arguments.length > 0 ? arguments[0] : "ann";
        String eventId = publish(user, arguments.length > 1 ? arguments[1] : "lamp");
        // The topic is compacted: the first run sees the newest list of every user. Later ones go on
        // where the group was; keep the lists, or read without a group. Instances of a service that
        // share a group.id share the users.
        Map<String, Object> options = Map.of("bootstrap.servers", BROKERS,
            "group.id", "example-java", "auto.offset.reset", "earliest");
        var text = new StringDeserializer();
        try (var consumer = new KafkaConsumer<>(options, text, text)) {
            consumer.subscribe(List.of("recommendations"));
            for (long end = System.nanoTime() + 60_000_000_000L; System.nanoTime() < end; ) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    if (record.value() == null) SEEN.remove(record.key()); // the user was erased
                    if (record.value() == null) continue;
                    JsonNode list = JSON.readTree(record.value());
                    if (!isNew(list)) continue;
                    StringJoiner items = new StringJoiner(", ", record.key() + ": ", "");
                    list.get("items").forEach(item -> items.add(item.get("item_id").asText()));
                    System.out.println(items);
                    if (eventId.equals(list.at("/trigger/event_id").asText())) return; // a service goes on
                }
            }
            throw new IllegalStateException("no list came within 60 s");
        }
    }
}
