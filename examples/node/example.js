// Publish a click and take lists of recommendations, with KafkaJS.
//
// npm ci; node example.js [USER [ITEM]]
//
// KafkaJS needs nothing but JavaScript, and has had no release since 2023. For a service look at
// @confluentinc/kafka-javascript: the same calls, under KafkaJS of that package, over librdkafka.
const { randomUUID } = require("node:crypto");
const { Kafka, Partitioners, logLevel } = require("kafkajs");

const [user = "ann", item = "lamp"] = process.argv.slice(2);
const brokers = [process.env.KAFKA_BROKERS || "127.0.0.1:9092"];
const kafka = new Kafka({ clientId: "example", brokers, logLevel: logLevel.ERROR });

// Publishes a click; its id.
async function publish() {
  const click = {
    event_id: randomUUID(), // a click that is sent twice under one id counts once
    user_id: user,
    item_id: item,
    timestamp: Date.now(),
  };
  // In a service: one producer, connected once. The default partitioner of version 2 hashes keys as
  // Java does, the legacy one of version 1 does not: all producers of a user must agree.
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  // The key must be the user: with it, all clicks of a user stand in one partition, in order.
  await producer.send({ topic: "clicks", messages: [{ key: user, value: JSON.stringify(click) }] });
  await producer.disconnect();
  return click.event_id;
}

// A list may come again after a crash of its worker. The click that caused it tells: of the clicks in
// one partition, offsets only grow.
const seen = new Map();
function isNew({ user_id, trigger }) {
  if (!seen.has(user_id)) seen.set(user_id, new Map());
  const ofUser = seen.get(user_id);
  const place = `${trigger.topic}/${trigger.partition}`;
  if (trigger.offset <= (ofUser.get(place) ?? -1)) return false;
  ofUser.set(place, trigger.offset);
  return true;
}

async function main() {
  const eventId = await publish();
  // The topic is compacted: the first run sees the newest list of every user. Later ones go on where
  // the group was; keep the lists, or read without a group. Instances of a service that share a
  // groupId share the users.
  const consumer = kafka.consumer({ groupId: "example-node" });
  await consumer.connect();
  await consumer.subscribe({ topics: ["recommendations"], fromBeginning: true });
  await new Promise((done, failed) => {
    setTimeout(() => failed(new Error("no list came within 60 s")), 60_000).unref();
    consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || failed(payload.error));
    const running = consumer.run({
      eachMessage: async ({ message }) => {
        if (message.value === null) return seen.delete(message.key.toString()); // erased
        const list = JSON.parse(message.value.toString());
        if (!isNew(list)) return;
        console.log(`${list.user_id}: ${list.items.map((each) => each.item_id).join(", ")}`);
        if (list.trigger.event_id === eventId) done(); // a service goes on
      },
    });
    running.catch(failed);
  });
  await consumer.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
