"""The topics that a demo publishes to, and the catalogue that stands on them before any click."""

import logging
from collections.abc import Sequence

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.broker import EmbeddedBroker
from streams.demo.plan import DemoError, DemoItem
from streams.settings import Settings
from streams.topics import plan

log = logging.getLogger(__name__)


def make_topics(settings: Settings, broker: EmbeddedBroker | None) -> None:
    """Clicks and items exist before anybody publishes; the worker makes the rest."""
    if broker is not None:
        for topic in plan(settings):
            broker.create_topic(topic.name, settings.partitions)
        return
    admin = AdminClient(settings.librdkafka(), logger=log)
    topics = [NewTopic(name, settings.partitions) for name in (settings.clicks, settings.items)]
    for name, future in admin.create_topics(topics).items():
        try:
            future.result(30)
        except Exception as error:
            raise DemoError(f"topic {name} cannot be created: {error}") from error


def publish_items(settings: Settings, items: Sequence[DemoItem]) -> None:
    """The catalogue, all of which the broker has when this returns."""
    producer = Producer(settings.librdkafka(), logger=log)
    for item in items:
        value = {
            "item_id": item.item_id,
            "title": item.title,
            "categories": list(item.categories),
            "available": True,
        }
        producer.produce(settings.items, msgspec.json.encode(value), item.item_id.encode())
        producer.poll(0)
    if producer.flush(30):
        raise DemoError("the broker did not take the catalogue; look at its log")
