"""How large topics are on the disks of the brokers: a request that no client of ours has."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

from streams.client_options import aiokafka_options
from streams.settings import Settings

log = logging.getLogger(__name__)

_TEXT = String("utf-8")


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", _TEXT),
                (
                    "topics",
                    Array(
                        ("name", _TEXT),
                        (
                            "partitions",
                            Array(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(("topics", Array(("topic", _TEXT), ("partitions", Array(Int32)))))


class DescribeLogDirs(Request[_Question]):  # type: ignore[misc]
    """Asks one broker for the sizes of its replicas of these partitions."""

    API_KEY = 35

    def __init__(self, topics: dict[str, int]) -> None:
        self._topics = [(name, list(range(count))) for name, count in topics.items()]

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """The request of the version that the broker speaks."""
        return request_struct_class(self._topics)


def topic_bytes(settings: Settings, topics: dict[str, int], timeout_seconds: float) -> int | None:
    """What the topics (name to number of partitions) take; of each partition its largest replica.

    None where the brokers do not say; they tell those only who may DESCRIBE the cluster.
    """
    try:
        return asyncio.run(asyncio.wait_for(_ask(settings, topics), timeout_seconds))
    except (KafkaError, OSError, TimeoutError, NotImplementedError) as error:
        log.debug("the brokers do not tell the sizes of topics: %r", error)
        return None


async def _ask(settings: Settings, topics: dict[str, int]) -> int | None:
    admin = AIOKafkaAdminClient(**aiokafka_options(settings))
    try:
        await admin.start()
        brokers = admin._client.cluster.brokers()
        answers = [
            await admin._send_request_to_node(broker.nodeId, DescribeLogDirs(topics))
            for broker in brokers
        ]
    finally:
        await admin.close()
    return largest_replicas(answers)


def largest_replicas(answers: list[Any]) -> int | None:
    """The sum over partitions of their largest replica; None where a broker refuses to tell."""
    sizes: dict[tuple[str, int], int] = {}
    for answer in answers:
        for error_code, _, topics in answer.results:
            if error_code:
                return None
            for name, partitions in topics:
                for number, size, _, _ in partitions:
                    sizes[name, number] = max(size, sizes.get((name, number), 0))
    return sum(sizes.values()) if answers and all(each.results for each in answers) else None
