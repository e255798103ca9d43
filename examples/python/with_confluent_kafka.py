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
    producer = Producer(  # in a service: one producer, made once
        {
            "bootstrap.servers": BROKERS,
            "enable.idempotence": True,
            # librdkafka's own way to hash keys differs from Java's, aiokafka's and KafkaJS's. All
            # producers of a user must agree, or clicks of the user overtake each other.
            "partitioner": "murmur2_random",
        }
    )
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
    producer.flush()
    return event_id


def main(user: str = "ann", item: str = "lamp") -> None:
    """Publish a click, then print lists until the one that it causes has come."""
    event_id = publish(user, item)
    # The topic is compacted: from its beginning it has the newest list of every user. Instances of
    # a service that share a group.id share the users.
    options = {"group.id": "example-confluent-kafka", "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": BROKERS, **options})
    consumer.subscribe(["recommendations"])
    seen: dict[tuple[str, str, int], int] = {}
    try:
        while True:
            record = consumer.poll(1.0)
            if record is None:
                continue
            if record.error() is not None:
                raise KafkaException(record.error())
            value = record.value()
            if value is None:  # the user was erased: forget the list
                continue
            made = json.loads(value)
            trigger = made["trigger"]
            # A list may come again after a crash of its worker. The click that caused it tells: of
            # the clicks in one partition, offsets only grow.
            place = (made["user_id"], trigger["topic"], trigger["partition"])
            if trigger["offset"] <= seen.get(place, -1):
                continue
            seen[place] = trigger["offset"]
            print(f"{made['user_id']}: {', '.join(item['item_id'] for item in made['items'])}")
            if trigger["event_id"] == event_id:
                return  # a service goes on
    finally:
        consumer.close()


main(*sys.argv[1:])
