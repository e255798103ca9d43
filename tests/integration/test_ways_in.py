"""The ways in and out as the documents show them: their own commands, run on a real Kafka.

Only the addresses are replaced, so that the test disturbs nothing that listens on this machine.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.walk import DEADLINE_SECONDS, Walk, need

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def walk(kafka_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A broker and a worker that are ready, started with the commands of the README."""
    need("kcat", "curl", "bash")
    walk = Walk(tmp_path_factory.mktemp("ways-in"))
    try:
        broker = walk.start("broker")
        assert broker.stdout is not None
        address = json.loads(broker.stdout.readline() or walk.logs())
        assert address["bootstrap"] == f"127.0.0.1:{walk.kafka_port}"
        walk.start("worker")
        walk.wait_for("a ready worker", lambda: walk.look_up("/readyz"))
        yield walk
    finally:
        walk.close()


@pytest.fixture(scope="module")
def published(walk: Walk) -> Walk:
    """After the three ways in; what they publish has arrived in the graph and in lists."""

    def neighbours() -> set[str]:
        found = walk.look_up("/graph/item/lamp")
        return {edge["item_id"] for edge in found["neighbours"]} if found else set()

    walk.run("publish with kcat")
    walk.wait_for("ann's clicks in the graph", lambda: neighbours() == {"desk", "chair"})
    walk.wait_for("the catalogue", lambda: walk.look_up("/status")["catalogue_items"] == 1)
    walk.run("publish with aiokafka")
    walk.wait_for("bob's list", lambda: walk.look_up("/recommendations/bob"))
    walk.run("publish from a file")
    walk.wait_for("cem's clicks in the graph", lambda: neighbours() == {"desk", "chair", "rug"})
    walk.wait_for("dee's list", lambda: walk.look_up("/recommendations/dee"))
    return walk


def test_a_list_arrives_in_kcat_under_its_users_key(published: Walk) -> None:
    lines = published.run("subscribe with kcat").splitlines()
    lists = [json.loads(line.partition("  ")[2]) for line in lines]
    assert [line.partition("  ")[0] for line in lines] == [each["user_id"] for each in lists]
    assert {each["user_id"] for each in lists} == {"ann", "bob", "cem", "dee"}
    (for_bob,) = [each for each in lists if each["user_id"] == "bob"]
    assert for_bob["trigger"]["event_id"].startswith("bob-")
    assert {item["item_id"] for item in for_bob["items"]} >= {"desk", "chair"}
    best = for_bob["items"][0]
    assert (best["item_id"], best["title"]) == ("desk", "Oak desk")
    assert best["reasons"][0]["code"] == "CO_CLICKED"
    assert best["reasons"][0]["item_id"] == "lamp"


def test_a_list_arrives_in_tail_as_the_readme_shows_it(published: Walk) -> None:
    head, *items = published.run("subscribe with tail").splitlines()
    assert head.startswith("dee  graph (model_missing)  ")
    assert "  1 events  " in head
    assert items[0].startswith("   1. desk  Oak desk  ")
    assert "  CO_CLICKED lamp" in items[0]


def test_the_metrics_count_every_click_once(published: Walk) -> None:
    lines = published.run("metrics").splitlines()
    counts = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(counts['freshrec_events_total{event_type="click"}']) == 6
    assert float(counts['freshrec_events_total{event_type="purchase"}']) == 1
    assert sum(map(float, counts.values())) == 7


def test_the_look_ups_answer(published: Walk) -> None:
    printed = published.run("look-ups")
    assert '"ready":true' in printed
    assert '"item_id":"desk","title":"Oak desk"' in printed
    assert "Oak desk" in printed.partition("neighbours:")[2]
    assert "user:dee" in printed
    assert "drift of" in printed
    assert "trend" in printed
    assert (published.directory / "dee.png").read_bytes().startswith(b"\x89PNG")
    assert (published.directory / "graph.graphml").read_bytes().startswith(b"<?xml")


def test_check_finds_no_fault(published: Walk) -> None:
    assert "fault" not in published.run("check")


def test_a_bad_click_is_found_with_its_reason(published: Walk) -> None:
    subprocess.run(
        ["kcat", "-P", "-b", f"127.0.0.1:{published.kafka_port}", "-t", "clicks", "-p", "1"],
        input='{"user_id": "ann", "item_id": "lamp"}\n',
        text=True,
        check=True,
        timeout=DEADLINE_SECONDS,
    )
    printed: list[str] = []

    def arrived() -> bool:
        printed[:] = published.run("dead letters").splitlines()
        return bool(printed)

    published.wait_for("the dead letter", arrived)
    (line,) = printed
    headers, _, value = line.partition("  ")
    assert "reason=missing_field" in headers
    assert "source-topic=clicks,source-partition=1,source-offset=" in headers
    assert json.loads(value) == {"user_id": "ann", "item_id": "lamp"}


def test_an_erased_user_is_gone(published: Walk) -> None:
    assert "erased_at" in published.run("erase")
    assert published.look_up("/recommendations/dee") is None
    assert published.look_up("/graph/ego/dee") is None
    assert published.look_up("/graph/ego/ann") is not None
    after = published.run("subscribe with kcat").splitlines()
    assert [line for line in after if line.startswith("dee  ")][-1] == "dee  "


def test_a_second_worker_takes_half_of_the_partitions(published: Walk) -> None:
    published.start("second worker")
    first, second = published.worker_port, published.second_port

    def owned(port: int) -> list[int]:
        status = published.look_up("/status", port)
        return status["partitions"] if status and status["ready"] else []

    published.wait_for(
        "two workers with two partitions each",
        lambda: [len(owned(first)), len(owned(second))] == [2, 2],
    )
    assert sorted(owned(first) + owned(second)) == [0, 1, 2, 3]
