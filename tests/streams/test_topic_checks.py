"""Topics as they are beside topics as a worker needs them."""

import pytest

from streams.settings import Settings
from streams.topic_checks import Replicas, configuration_findings, replica_findings
from streams.topics import changelog_topic, plan

SETTINGS = Settings(replication_factor=3)
GRAPH = changelog_topic(SETTINGS, "graph")


def as_planned(**changes: dict[str, str]) -> dict[str, dict[str, str]]:
    """Configurations as Kafka would describe topics that freshrec created."""
    defaults = {"cleanup.policy": "delete", "retention.ms": "604800000", "min.insync.replicas": "2"}
    told = {topic.name: {**defaults, **topic.config} for topic in plan(SETTINGS)}
    for name, config in changes.items():
        told[name] |= config
    return told


def test_topics_that_freshrec_creates_are_kept_as_it_needs_them() -> None:
    (finding,) = configuration_findings(SETTINGS, as_planned())
    assert finding.level == "ok"


@pytest.mark.parametrize(
    ("topic", "policy", "wanted"),
    [
        (GRAPH, "delete", "compact"),
        (GRAPH, "compact,delete", "compact"),
        (SETTINGS.items, "delete", "compact"),
        (SETTINGS.recommendations, "delete", "compact"),
        (SETTINGS.clicks, "compact", "delete"),
        (SETTINGS.transitions_topic, "compact,delete", "delete"),
    ],
)
def test_a_cleanup_policy_that_would_lose_state_or_clicks_is_a_fault_with_the_command_that_mends_it(
    topic: str, policy: str, wanted: str
) -> None:
    told = as_planned(**{topic: {"cleanup.policy": policy}})
    (finding,) = configuration_findings(SETTINGS, told)
    assert finding.level == "fault"
    assert f"{topic} has cleanup.policy={policy}" in finding.words
    assert f"--entity-name {topic} --add-config cleanup.policy={wanted}" in finding.advice


def test_a_retention_other_than_the_settings_say_is_a_note() -> None:
    told = as_planned(**{SETTINGS.transitions_topic: {"retention.ms": "3600000"}})
    note, fine = configuration_findings(SETTINGS, told)
    assert (note.level, fine.level) == ("note", "ok")
    assert "retention.ms=259200000" in note.advice


def test_clicks_that_go_within_a_day_are_a_note_unless_the_settings_say_so() -> None:
    told = as_planned(clicks={"retention.ms": "3600000"})
    note, _ = configuration_findings(SETTINGS, told)
    assert "keeps clicks for 1.0 hours" in note.words
    meant = SETTINGS.replace(clicks_retention_seconds=3600)
    told[SETTINGS.rekeyed_topic]["retention.ms"] = "3600000"
    assert [f.level for f in configuration_findings(meant, told)] == ["ok"]


def test_smaller_records_and_an_earlier_compaction_are_notes_and_larger_ones_are_not() -> None:
    worse = {"max.message.bytes": "1048588", "min.compaction.lag.ms": "0"}
    better = {"max.message.bytes": "99999999", "min.compaction.lag.ms": "7200000"}
    notes = configuration_findings(SETTINGS, as_planned(**{GRAPH: worse}))
    assert [f.level for f in notes] == ["note", "note", "ok"]
    assert len(configuration_findings(SETTINGS, as_planned(**{GRAPH: better}))) == 1


def levels(spread: Replicas, in_sync_wanted: str = "2") -> dict[str, str]:
    """Levels by the beginning of the words, where three brokers hold all topics in this way."""
    names = [topic.name for topic in plan(SETTINGS)]
    told = {name: {"min.insync.replicas": in_sync_wanted} for name in names}
    found = replica_findings(SETTINGS, dict.fromkeys(names, spread), 3, told)
    return {f.words.partition(":")[0].partition(",")[0]: f.level for f in found}


def test_three_replicas_in_sync_of_which_two_must_be_are_fine() -> None:
    assert list(levels(Replicas(4, 3, 3)).values()) == ["ok"]


@pytest.mark.parametrize(
    ("spread", "wanted", "words", "level"),
    [
        (Replicas(4, 3, 2, leaderless=1), "2", "partitions without a leader", "fault"),
        (Replicas(4, 3, 1), "2", "fewer replicas in sync than min.insync.replicas", "fault"),
        (Replicas(4, 3, 2), "2", "replicas out of sync", "note"),
        (Replicas(4, 1, 1), "1", "one replica", "note"),
        (Replicas(4, 3, 3), "1", "min.insync.replicas is 1", "note"),
        (Replicas(4, 2, 2), "2", "min.insync.replicas is the number of replicas", "note"),
    ],
)
def test_replicas_that_lose_records_or_stop_writes_are_told(
    spread: Replicas, wanted: str, words: str, level: str
) -> None:
    found = levels(spread, in_sync_wanted=wanted)
    assert found[words] == level
    assert ("ok" in found.values()) == (level == "note")


def test_more_replicas_than_brokers_are_a_fault_while_topics_are_missing() -> None:
    (finding,) = replica_findings(SETTINGS, {}, 1, {})
    assert finding.level == "fault"
    assert "there is 1 broker" in finding.words
