import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.LinkedHashSet;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The job of benchmarks.peers in Kafka Streams: a processor with a store and its changelog. */
public final class WindowJob {
  private static final int WINDOW_EVENTS = 50;
  private static final int LIST_SIZE = 10;
  private static final ObjectMapper JSON = new ObjectMapper();

  private WindowJob() {}

  private static final class Fold implements Processor<String, byte[], String, byte[]> {
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> windows;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.windows = context.getStateStore("windows");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      try {
        JsonNode click = JSON.readTree(record.value());
        byte[] before = windows.get(record.key());
        ArrayNode window =
            before == null ? JSON.createArrayNode() : (ArrayNode) JSON.readTree(before);
        window.addArray().add(click.get("item_id")).add(click.get("timestamp"));
        while (window.size() > WINDOW_EVENTS) {
          window.remove(0);
        }
        windows.put(record.key(), JSON.writeValueAsBytes(window));
        Set<String> items = new LinkedHashSet<>();
        for (int i = window.size() - 1; i >= 0 && items.size() < LIST_SIZE; i--) {
          items.add(window.get(i).get(0).asText());
        }
        ObjectNode output = JSON.createObjectNode().put("user_id", record.key());
        ArrayNode listed = output.putArray("items");
        items.forEach(listed::add);
        context.forward(record.withValue(JSON.writeValueAsBytes(output)));
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  /** Settings come from the environment, as those of the other peers do. */
  public static void main(String[] arguments) {
    boolean memory = System.getenv("PEER_STORE").equals("memory");
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("PEER_GROUP"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("PEER_BOOTSTRAP"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("PEER_STATE_DIR"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[0]);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[1]);
    settings.put("auto.offset.reset", "earliest");
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                memory
                    ? Stores.inMemoryKeyValueStore("windows")
                    : Stores.persistentKeyValueStore("windows"),
                Serdes.String(),
                Serdes.ByteArray())
            .withLoggingEnabled(java.util.Map.of()));
    builder.stream(
            System.getenv("PEER_CLICKS"), Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .process(Fold::new, "windows")
        .to(System.getenv("PEER_OUTPUT"), Produced.with(Serdes.String(), Serdes.ByteArray()));
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
