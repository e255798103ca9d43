"""The quick start as its document shows it: its own commands, with a broker in memory."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.documents import ROOT
from tests.integration.walk import Walk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A broker and a ready worker."""
    walk = Walk(tmp_path_factory.mktemp("quick-start"))
    (walk.directory / "deploy").symlink_to(ROOT / "deploy")
    try:
        broker = walk.start("embedded broker")
        assert broker.stdout is not None
        walk.environment["FRESHREC_BOOTSTRAP"] = json.loads(broker.stdout.readline())["bootstrap"]
        walk.start("embedded worker")
        walk.wait_for("a ready worker", lambda: walk.look_up("/readyz"))
        yield walk
    finally:
        walk.close()


def test_a_list_of_ones_own_clicks_arrives_in_ones_own_subscriber(walk: Walk) -> None:
    walk.run("own producer")
    lines = walk.run("own subscriber").splitlines()
    assert lines[-1].startswith("bob ")
    assert all(f"'{item}'" in lines[-1] for item in ("desk", "chair"))
    assert any(line.startswith("ann ") for line in lines)


def test_prometheus_shows_the_lists_and_knows_the_rules(walk: Walk, prometheus_server: str) -> None:
    walk.start("own dashboard")

    def answer(path: str) -> Any:
        url = f"http://127.0.0.1:{walk.prometheus_port}/api/v1/{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.loads(response.read())["data"]
        except OSError:
            return None

    name = "freshrec_event_to_recommendation_seconds_count"
    walk.wait_for("the first scrape", lambda: (answer(f"query?query={name}") or {}).get("result"))
    assert any(group["name"].startswith("freshrec") for group in answer("rules")["groups"])
