"""Replicas as they are beside what outlives a broker."""

import pytest

from streams.findings import Finding
from streams.replica_checks import Replicas, replica_findings
from streams.settings import Settings
from streams.topics import plan

SETTINGS = Settings(replication_factor=3)


def found_of(spread: Replicas, in_sync_wanted: str | None = "2") -> dict[str, Finding]:
    """Findings by the beginning of the words, where three brokers hold all topics in this way."""
    names = [topic.name for topic in plan(SETTINGS)]
    said = {} if in_sync_wanted is None else {"min.insync.replicas": in_sync_wanted}
    told = dict.fromkeys(names, said)
    found = replica_findings(SETTINGS, "worker", dict.fromkeys(names, spread), 3, told)
    return {f.words.partition(":")[0].partition(",")[0]: f for f in found}


def test_three_replicas_in_sync_of_which_two_must_be_are_fine() -> None:
    assert [finding.level for finding in found_of(Replicas(4, 3, 3)).values()] == ["ok"]


@pytest.mark.parametrize(
    ("spread", "wanted", "words", "level"),
    [
        (Replicas(4, 3, 2, leaderless=1), "2", "partitions without a leader", "fault"),
        (Replicas(4, 3, 1), "2", "fewer replicas in sync than min.insync.replicas", "fault"),
        (Replicas(4, 3, 2), "2", "replicas out of sync", "note"),
        (Replicas(4, 1, 1), "1", "one replica", "note"),
        (Replicas(4, 3, 3), "1", "min.insync.replicas is 1", "note"),
        (Replicas(4, 2, 2), "1", "min.insync.replicas is 1", "note"),
        (Replicas(4, 2, 2), "2", "min.insync.replicas leaves none to spare", "note"),
        (Replicas(4, 3, 3), "5", "min.insync.replicas leaves none to spare", "note"),
        (Replicas(4, 3, 3), None, "the brokers do not tell min.insync.replicas of", "note"),
    ],
)
def test_replicas_that_lose_records_or_stop_writes_are_told(
    spread: Replicas, wanted: str, words: str, level: str
) -> None:
    found = found_of(spread, in_sync_wanted=wanted)
    (said,) = [f for beginning, f in found.items() if beginning.startswith(words)]
    assert said.level == level
    assert "ok" not in {finding.level for finding in found.values()}


@pytest.mark.parametrize("wanted", ["1", "2"])
def test_two_replicas_are_not_advised_to_lose_records_instead_of_stopping_nor_the_reverse(
    wanted: str,
) -> None:
    (found,) = found_of(Replicas(4, 2, 2), wanted).values()
    assert "third replica" in found.advice
    (found,) = found_of(Replicas(4, 3, 3), "1").values()
    assert "--add-config min.insync.replicas=2" in found.advice


def test_brokers_ask_for_no_more_replicas_in_sync_than_there_are() -> None:
    assert {f.words.partition(",")[0] for f in found_of(Replicas(4, 1, 1), "2").values()} == {
        "one replica"
    }


def test_more_replicas_than_brokers_are_a_fault_while_topics_are_missing() -> None:
    (finding,) = replica_findings(SETTINGS, "worker", {}, 1, {})
    assert finding.level == "fault"
    assert "there is 1 broker" in finding.words
    assert list(replica_findings(SETTINGS, "publisher", {}, 1, {})) == []
