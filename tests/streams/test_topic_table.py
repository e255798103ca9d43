"""The table of topics says what the settings make of them."""

from typing import Any

import pytest

from streams.settings import FIELDS, Settings
from streams.topic_table import NAMES, duration, rows
from streams.topics import plan


def row(name: str, **settings: Any) -> dict[str, str]:
    by_topic = {each[0]: dict(zip(NAMES, each, strict=True)) for each in rows(Settings(**settings))}
    return by_topic[f"`{name}`"]


def test_every_topic_of_a_worker_has_a_row_and_somebody_writes_and_reads_it() -> None:
    found = list(rows(Settings()))
    assert [each[0].strip("`") for each in found] == [topic.name for topic in plan(Settings())]
    assert "-" not in {cell for each in found for cell in each[1:3]}


def test_who_writes_and_reads_is_who_has_the_right() -> None:
    clicks = row("clicks")
    assert clicks["written by"] == "publisher, eraser"
    assert clicks["read by"] == "worker, trainer"
    assert row("recommendations")["read by"] == "subscriber"


@pytest.mark.parametrize(
    ("topic", "settings", "kept"),
    [
        ("clicks", {}, "as brokers say"),
        ("clicks", {"clicks_retention_seconds": 604_800}, "7 days"),
        ("clicks.dead-letter", {}, "without end"),
        ("recommendations", {}, "the newest of a key"),
        (
            "recommendations",
            {"recommendations_retention_seconds": 86_400},
            "the newest of a key, for 1 day",
        ),
        ("freshrec-graph-changelog", {}, "the newest of a key, all for 1 hour"),
    ],
)
def test_how_long_records_stay_follows_the_setting(
    topic: str, settings: dict[str, int], kept: str
) -> None:
    assert row(topic, **settings)["kept"] == kept


def test_a_setting_of_retention_that_is_named_changes_what_is_kept() -> None:
    retention = {f.name for f in FIELDS if f.name.endswith("_retention_seconds")}
    assert {topic.kept_by for topic in plan(Settings())} - {""} == retention
    for topic in plan(Settings()):
        if topic.kept_by:
            assert row(topic.name, **{topic.kept_by: 7_200})["kept"].endswith("2 hours")


def test_durations_are_whole() -> None:
    assert [duration(n) for n in (1, 90, 3_600, 172_800)] == [
        "1 second", "90 seconds", "1 hour", "2 days",
    ]  # fmt: skip
