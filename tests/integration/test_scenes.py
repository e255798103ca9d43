"""Each scene as its guide shows it: worker, clicks, and a log in the layout that it names."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.integration.walk import Walk, need

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROWS = 12


def _ga4(directory: Path) -> None:
    """Events with a list of items, one JSON object a line; numbers as BigQuery exports them."""
    rows = [
        {
            "event_timestamp": str(1_611_900_000_000_000 + number * 1_000_000),
            "event_name": "view_item" if number % 2 else "add_to_cart",
            "user_id": None,
            "user_pseudo_id": f"{number % 3}.7",
            "items": [{"item_id": f"GGOE{number % 5}", "item_name": "Tee", "price": 9.0}],
        }
        for number in range(ROWS)
    ]
    rows.append({**rows[0], "event_name": "page_view", "items": []})
    (directory / "ga4.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _college_messages(directory: Path) -> None:
    lines = [f"{1 + n % 3} {4 + n % 5} {1_082_040_961 + n}\n" for n in range(ROWS)]
    (directory / "CollegeMsg.txt.gz").write_bytes(gzip.compress("".join(lines).encode()))


def _movielens(directory: Path) -> None:
    """Ratings by user, not by time, over more years than any window."""
    lines = [f"{1 + n % 3},{10 + n % 5},4.0,{964_982_703 + n * 10_000_000}" for n in range(ROWS)]
    header = "userId,movieId,rating,timestamp"
    (directory / "ratings.csv").write_text("\n".join([header, *sorted(lines)]))


def _gowalla(directory: Path) -> None:
    lines = [
        f"{n % 3}\t2010-10-{31 - n}T23:55:27Z\t30.2359\t-97.7951\t{22847 + n % 5}\n"
        for n in range(ROWS)
    ]
    path = directory / "loc-gowalla_totalCheckins.txt.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))


@pytest.fixture(scope="module")
def walks(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Walk]]:
    """A ready worker for each scene, with topics and a group of its own, all started at once."""
    need("kcat", "bash")
    walks = {}
    for name in ("shop", "social", "video", "travel"):
        directory = tmp_path_factory.mktemp(name)
        (directory / "deploy").symlink_to(ROOT / "deploy")
        prefix = f"{name}-{time.time_ns():x}."
        walks[name] = Walk(directory, kafka, topic_prefix=prefix)
        walks[name].environment["FRESHREC_GROUP"] = prefix
    try:
        walks["shop"].start("shop worker")
        walks["social"].start("social worker")
        walks["video"].start("video worker")
        walks["travel"].start("travel worker")
        for walk in walks.values():
            walk.wait_for("a ready worker", lambda walk=walk: walk.look_up("/readyz"))
        yield walks
    finally:
        for walk in walks.values():
            walk.close()


def became_lists(walk: Walk, clicks: int, types: set[str]) -> bool:
    """Whether all clicks of the guide and all of the log were accepted, and a list came."""

    def counted() -> dict[str, float]:
        return walk.metrics("freshrec_events_total")

    walk.wait_for("all clicks", lambda: sum(counted().values()) >= clicks + ROWS)
    assert {kind for kind, count in counted().items() if count} == types
    assert sum(counted().values()) == clicks + ROWS
    assert sum(walk.metrics("freshrec_rejects_total").values()) == 0
    return bool(walk.run("scene lists"))


def test_a_shops_clicks_and_an_export_of_google_analytics_become_lists(
    walks: dict[str, Walk],
) -> None:
    walk = walks["shop"]
    _ga4(walk.directory)
    walk.run("shop clicks")
    walk.run("shop replay")
    assert became_lists(walk, 4, {"view", "add_to_cart", "purchase", "return"})


def test_a_networks_clicks_and_college_messages_become_lists(walks: dict[str, Walk]) -> None:
    walk = walks["social"]
    _college_messages(walk.directory)
    walk.run("social clicks")
    walk.run("social replay")
    assert became_lists(walk, 3, {"message", "follow", "block"})


def test_clicks_on_films_and_ratings_of_movielens_become_lists(walks: dict[str, Walk]) -> None:
    walk = walks["video"]
    _movielens(walk.directory)
    walk.run("video clicks")
    walk.run("video replay")
    assert became_lists(walk, 4, {"click", "view", "finish", "stop"})


def test_visits_and_check_ins_of_gowalla_become_lists(walks: dict[str, Walk]) -> None:
    walk = walks["travel"]
    _gowalla(walk.directory)
    walk.run("travel clicks")
    walk.run("travel replay")
    assert became_lists(walk, 3, {"check_in", "book", "cancel"})
