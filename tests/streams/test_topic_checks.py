"""Topics as they are beside topics as a worker needs them."""

import pytest

from streams.access import ROLES
from streams.findings import Finding
from streams.settings import Settings
from streams.topic_checks import configuration_findings, topic_findings
from streams.topics import changelog_topic, mismatch, plan

SETTINGS = Settings(replication_factor=3)
GRAPH = changelog_topic(SETTINGS, "graph")


def as_planned(**changes: dict[str, str]) -> dict[str, dict[str, str]]:
    """Configurations as Kafka would describe topics that freshrec created."""
    defaults = {"cleanup.policy": "delete", "retention.ms": "604800000", "min.insync.replicas": "2"}
    told = {topic.name: {**defaults, **topic.config} for topic in plan(SETTINGS)}
    for name, config in changes.items():
        told[name] |= config
    return told


def configured(told: dict[str, dict[str, str]], settings: Settings = SETTINGS) -> list[Finding]:
    """What a worker is told, where all its topics are there."""
    names = [topic.name for topic in plan(settings)]
    return configuration_findings(settings, "worker", names, told)


def test_topics_that_freshrec_creates_are_kept_as_it_needs_them() -> None:
    (finding,) = configured(as_planned())
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
    (finding,) = configured(told)
    assert finding.level == "fault"
    assert f"{topic} has cleanup.policy={policy}" in finding.words
    assert f"--entity-name {topic} --add-config cleanup.policy={wanted}" in finding.advice


def test_a_retention_other_than_the_settings_say_is_a_note() -> None:
    told = as_planned(**{SETTINGS.transitions_topic: {"retention.ms": "3600000"}})
    (note,) = configured(told)
    assert note.level == "note"
    assert "retention.ms=259200000" in note.advice


def test_clicks_that_go_within_a_day_are_a_note_unless_the_settings_say_so() -> None:
    told = as_planned(clicks={"retention.ms": "3600000"})
    (note,) = configured(told)
    assert "keeps clicks for 1.0 hours" in note.words
    meant = SETTINGS.replace(clicks_retention_seconds=3600)
    told[SETTINGS.rekeyed_topic]["retention.ms"] = "3600000"
    assert [f.level for f in configured(told, meant)] == ["ok"]


def test_smaller_records_and_an_earlier_compaction_are_notes_and_larger_ones_are_not() -> None:
    worse = {"max.message.bytes": "1048588", "min.compaction.lag.ms": "0"}
    better = {"max.message.bytes": "99999999", "min.compaction.lag.ms": "7200000"}
    notes = configured(as_planned(**{GRAPH: worse}))
    assert [f.level for f in notes] == ["note", "note"]
    (fine,) = configured(as_planned(**{GRAPH: better}))
    assert fine.level == "ok"


def test_what_brokers_do_not_tell_is_not_judged_and_not_called_well() -> None:
    told = as_planned()
    del told[GRAPH]["cleanup.policy"]
    (note,) = configured(told)
    assert note.level == "note"
    assert f"do not tell cleanup.policy of {GRAPH}" in note.words
    del told[GRAPH]
    assert configured(told) == []  # whose configuration is hidden is said elsewhere
    assert configured({}) == []


def test_lists_that_never_go_although_the_settings_let_them_go_are_a_note() -> None:
    meant = SETTINGS.replace(recommendations_retention_seconds=3600)
    told = as_planned(recommendations={"cleanup.policy": "compact", "retention.ms": "3600000"})
    (note,) = configured(told, meant)
    assert note.level == "note"
    assert "though recommendations_retention_seconds says so" in note.words
    assert "cleanup.policy='[compact,delete]'" in note.advice


def test_a_role_is_told_of_its_own_topics_alone() -> None:
    told = as_planned(**{GRAPH: {"cleanup.policy": "delete"}})
    names = list(told)
    for role in ROLES:
        found = configuration_findings(SETTINGS, role, names, told)
        assert [f.level for f in found] == ["fault" if role == "worker" else "ok"]
    (missing,) = topic_findings(SETTINGS, "subscriber", {})
    assert missing.words == f"not there yet: {SETTINGS.recommendations}"
    other = {SETTINGS.clicks: 4, SETTINGS.recommendations: 3}
    assert list(topic_findings(SETTINGS, "subscriber", other)) == []


@pytest.mark.parametrize("clicks", [{SETTINGS.clicks: 4}, {}])
def test_partition_counts_are_judged_as_a_worker_judges_them_and_in_its_words(
    clicks: dict[str, int],
) -> None:
    """Where the clicks topic is missing, it will be made with the number of the settings."""
    wrong = {GRAPH: 3, SETTINGS.recommendations: 3}
    found = [f for f in topic_findings(SETTINGS, "worker", clicks | wrong) if f.check != "topics"]
    assert [finding.level for finding in found] == ["fault"]
    has = "has" if clicks else "will have"
    assert (found[0].words, "freshrec-* topics and recommendations" in found[0].advice) == (
        mismatch(SETTINGS, wrong_in_order(wrong), 4, has=has)[0], True,
    )  # fmt: skip
    assert found[0].advice.startswith("say --partitions 3") == (not clicks)


def wrong_in_order(counts: dict[str, int]) -> dict[str, int]:
    return {topic.name: counts[topic.name] for topic in plan(SETTINGS) if topic.name in counts}
