"""Publish a click and take lists of recommendations, with aiokafka.

pip install aiokafka; python with_aiokafka.py [USER [ITEM]]
"""

import asyncio
import json
import os
import sys
import time
import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

BROKERS = os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092")


async def publish(user: str, item: str) -> str:
    """Publish a click; its id."""
    event_id = str(uuid.uuid4())  # a click that is sent twice under one id counts once
    click = {
        "event_id": event_id,
        "user_id": user,
        "item_id": item,
        "timestamp": time.time_ns() // 1_000_000,
    }
    # In a service: one producer, started once. The key must be the user: with it, all clicks of a
    # user stand in one partition, in order. aiokafka hashes keys as Java does.
    async with AIOKafkaProducer(bootstrap_servers=BROKERS, enable_idempotence=True) as producer:
        await producer.send_and_wait("clicks", json.dumps(click).encode(), key=user.encode())
    return event_id


Seen = dict[str, dict[tuple[str, int], int]]


def new_list(seen: Seen, user: str, value: bytes | None) -> dict[str, Any] | None:
    """A record of the topic as a list that is new; None if there is nothing new in it."""
    if value is None:  # the user was erased
        seen.pop(user, None)
        return None
    made: dict[str, Any] = json.loads(value)
    trigger = made["trigger"]
    # A list may come again after a crash of its worker. The click that caused it tells: of the
    # clicks in one partition, offsets only grow.
    of_user = seen.setdefault(user, {})
    place = (trigger["topic"], trigger["partition"])
    if trigger["offset"] <= of_user.get(place, -1):
        return None
    of_user[place] = trigger["offset"]
    return made


async def main(user: str = "ann", item: str = "lamp") -> None:
    """Publish a click, then print lists until the one that it causes has come."""
    event_id = await publish(user, item)
    seen: Seen = {}
    # The topic is compacted: the first run sees the newest list of every user. Later ones go on
    # where the group was; keep the lists, or read without a group. Instances of a service that
    # share a group_id share the users.
    async with AIOKafkaConsumer(
        "recommendations",
        bootstrap_servers=BROKERS,
        group_id="example-aiokafka",
        auto_offset_reset="earliest",
    ) as consumer:
        async for record in consumer:
            made = new_list(seen, record.key.decode(), record.value)
            if made is None:
                continue
            print(f"{made['user_id']}: {', '.join(each['item_id'] for each in made['items'])}")
            if made["trigger"]["event_id"] == event_id:
                return  # a service goes on


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), timeout=60))
