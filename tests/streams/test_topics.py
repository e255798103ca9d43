"""Topics: made where missing, refused where they do not fit, with advice."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError, KafkaTimeoutError

from streams.settings import Settings
from streams.topics import (
    MAX_RECORD_BYTES,
    TopicMismatchError,
    ensure_topics,
    plan,
    record_limit_bytes,
)

SETTINGS = Settings(partitions=6)
TOPIC_EXISTS, NOT_ALLOWED = 36, 29


class FakeAdmin:
    """An admin client of a cluster that is a dictionary."""

    def __init__(self, counts: dict[str, int] | None = None) -> None:
        self.counts = counts or {}
        self.codes: dict[str, int] = {}
        self.created: list[Any] = []
        self.old_broker = False
        self.limit: str | Exception = "1048588"
        self.passing_faults: list[Exception] = []

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        if self.old_broker:  # which makes what it is asked for
            self.counts = {name: self.counts.get(name, 6) for name in names}
        return [
            {"topic": name, "error_code": 0 if name in self.counts else 3,
             "partitions": [None] * self.counts.get(name, 0)}
            for name in names
        ]  # fmt: skip

    async def create_topics(self, topics: list[Any], timeout_ms: int) -> Any:
        if self.old_broker:
            raise IncompatibleBrokerVersion
        errors = []
        for topic in topics:
            code = self.codes.get(topic.name, 0)
            errors.append((topic.name, code, None))
            if code in (0, TOPIC_EXISTS):
                self.created.append(topic)
                self.counts[topic.name] = topic.num_partitions
        return SimpleNamespace(topic_errors=errors)

    async def describe_configs(self, resources: list[Any]) -> list[Any]:
        if self.passing_faults:
            raise self.passing_faults.pop()
        if isinstance(self.limit, Exception):
            raise self.limit
        entry = ("max.message.bytes", self.limit, False, 5, False, [])
        return [SimpleNamespace(resources=[(0, "", 2, resources[0].name, [entry])])]


async def ensure(admin: Any, settings: Settings = SETTINGS) -> int:
    return await ensure_topics(admin, settings)


async def test_missing_topics_get_the_partitions_of_the_clicks_topic() -> None:
    admin = FakeAdmin({"clicks": 3})
    assert await ensure(admin) == 3
    assert {topic.num_partitions for topic in admin.created} == {3}
    assert {topic.name for topic in admin.created} == {t.name for t in plan(SETTINGS)} - {"clicks"}


async def test_without_any_topic_the_settings_decide() -> None:
    admin = FakeAdmin()
    assert await ensure(admin) == 6
    assert admin.created[0].name == "clicks"
    assert admin.created[0].topic_configs == {}


async def test_another_partition_count_is_refused_and_the_way_out_named() -> None:
    counts = {topic.name: 4 for topic in plan(SETTINGS)} | {"clicks": 8}
    with pytest.raises(TopicMismatchError, match="has 4 partitions but clicks has 8") as caught:
        await ensure(FakeAdmin(counts))
    assert "--topic-prefix" in str(caught.value)


async def test_topics_that_need_not_match_may_have_any_count() -> None:
    counts = {topic.name: 8 if topic.copartitioned else 1 for topic in plan(SETTINGS)}
    assert await ensure(FakeAdmin(counts)) == 8


async def test_a_topic_that_another_worker_made_meanwhile_is_taken() -> None:
    admin = FakeAdmin()
    admin.codes["clicks"] = TOPIC_EXISTS
    assert await ensure(admin) == 6


async def test_a_topic_that_may_not_be_made_is_named_with_what_to_do() -> None:
    admin = FakeAdmin()
    admin.codes["items"] = NOT_ALLOWED
    with pytest.raises(TopicMismatchError, match="topic items cannot be created") as caught:
        await ensure(admin)
    assert "create it yourself with 6 partitions" in str(caught.value)


async def test_a_broker_that_makes_topics_only_by_name_is_enough() -> None:
    admin = FakeAdmin()
    admin.old_broker = True
    assert await ensure(admin) == 6


def test_everything_a_worker_may_write_fits_its_own_topics() -> None:
    for topic in plan(SETTINGS):
        limit = topic.config.get("max.message.bytes")
        written = topic.name not in ("clicks", "items", "freshrec-receipts")
        assert limit == (str(MAX_RECORD_BYTES) if written else None), topic.name


def test_every_topic_keeps_what_it_holds_as_long_as_its_setting_says() -> None:
    def kept(**settings: int) -> dict[str, tuple[str | None, str | None]]:
        return {
            topic.name: (topic.config.get("cleanup.policy"), topic.config.get("retention.ms"))
            for topic in plan(Settings(**settings))  # type: ignore[arg-type]
        }

    assert kept()["clicks"] == kept()["freshrec-rekeyed"] == (None, None)
    assert kept()["freshrec-transitions"] == ("delete", "259200000")
    assert kept()["recommendations"] == kept()["items"] == ("compact", None)
    assert kept()["clicks.dead-letter"] == kept()["freshrec-receipts"] == ("delete", "-1")
    for name, topic, policy in (
        ("clicks", "clicks", "delete"),
        ("clicks", "freshrec-rekeyed", "delete"),
        ("transitions", "freshrec-transitions", "delete"),
        ("recommendations", "recommendations", "compact,delete"),
        ("dead_letter", "clicks.dead-letter", "delete"),
        ("receipts", "freshrec-receipts", "delete"),
    ):
        changed = kept(**{f"{name}_retention_seconds": 3600})
        assert changed[topic] == (policy, "3600000")
    (transitions,) = [t for t in plan(SETTINGS) if t.name == "freshrec-transitions"]
    assert int(transitions.config["segment.ms"]) <= int(transitions.config["retention.ms"]) // 10


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("1048588", 1_048_588),
        (str(2**31 - 1), MAX_RECORD_BYTES),
        ("much", 1_000_000),
        (KafkaTimeoutError(), 1_000_000),
    ],
)
async def test_the_record_limit_is_what_the_broker_says_or_a_safe_one(
    said: str | Exception, limit: int
) -> None:
    admin: Any = FakeAdmin()
    admin.limit = said
    assert await record_limit_bytes(admin, "clicks.dead-letter") == limit


async def test_brokers_that_are_away_for_a_moment_are_asked_again_what_a_topic_accepts() -> None:
    admin: Any = FakeAdmin()
    admin.limit = "5000"
    admin.passing_faults = [KafkaConnectionError("the leader moves")]
    assert await record_limit_bytes(admin, "clicks.dead-letter") == 5000
