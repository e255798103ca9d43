"""Publish a click and take lists of recommendations, with confluent-kafka (librdkafka).

pip install confluent-kafka; python with_confluent_kafka.py [USER [ITEM]]
"""

import json
import os
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer

BROKERS = os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092")


def publish(user: str, item: str) -> str:
    """Publish a click; its id."""
    # In a service: one, made once. All producers of a user must hash keys alike; librdkafka's own
    # way is not Java's.
    hashing = {"partitioner": "murmur2_random"}
    producer = Producer({"bootstrap.servers": BROKERS, "enable.idempotence": True, **hashing})
    event_id = str(uuid.uuid4())  # a click that is sent twice under one id counts once
    click = {
        "event_id": event_id,
        "user_id": user,
        "item_id": item,
        "timestamp": time.time_ns() // 1_000_000,
    }

    def delivered(error: object, _record: object) -> None:
        if error is not None:
            raise KafkaException(error)

    # The key must be the user: with it, all clicks of a user stand in one partition, in order.
    producer.produce("clicks", json.dumps(click), key=user, on_delivery=delivered)
    if producer.flush(30):
        raise SystemExit("the click was not delivered within 30 s")
    return event_id


def main(user: str = "ann", item: str = "lamp") -> None:
    """Publish a click, then print lists until the one that it causes has come."""
    event_id = publish(user, item)
    # The topic is compacted: the first run sees the newest list of every user, later ones go on
    # where the group was. Instances of a service that share a group.id share the users.
    group = {"group.id": "example-confluent-kafka", "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": BROKERS, **group})
    consumer.subscribe(["recommendations"])
    seen: dict[str, dict[tuple[str, int], int]] = {}
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            record = consumer.poll(1.0)
            if record is None:
                continue
            if record.error() is not None:
                raise KafkaException(record.error())
            of_user, value = (record.key() or b"").decode(), record.value()
            if value is None:  # the user was erased
                seen.pop(of_user, None)
                continue
            made = json.loads(value)
            trigger = made["trigger"]
            # A list may come again. Of the clicks in one partition, offsets only grow.
            offsets = seen.setdefault(of_user, {})
            place = (trigger["topic"], trigger["partition"])
            if trigger["offset"] <= offsets.get(place, -1):
                continue
            offsets[place] = trigger["offset"]
            print(f"{of_user}: {', '.join(item['item_id'] for item in made['items'])}")
            if trigger["event_id"] == event_id:
                return  # a service goes on
        raise SystemExit("no list came within 60 s")
    finally:
        consumer.close()


main(*sys.argv[1:])
