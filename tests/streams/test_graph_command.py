"""`freshrec graph trending`, `evolution` and `ego` of a worker over a small world."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli import freshrec
from tests.streams.api_world import TOKEN, make_world, running_server, worker_of

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def worker_url() -> Iterator[str]:
    with running_server(worker_of(make_world())) as server:
        yield server.url


def _graph(worker_url: str, *args: str) -> Result:
    environment = {"FRESHREC_LOOKUP_TOKEN": TOKEN, "FRESHREC_WORKER": worker_url}
    return CliRunner(env=environment).invoke(freshrec, ["graph", *args])


def test_trending_items_are_shown_with_titles_and_categories(worker_url: str) -> None:
    shown = _graph(worker_url, "trending")
    assert shown.exit_code == 0, shown.output
    header, first = shown.stdout.splitlines()[2:4]
    assert header.split()[:4] == ["item_id", "title", "categories", "trend"]
    assert first.split()[:4] == ["lamp", "Desk", "lamp", "home,"]
    found = json.loads(_graph(worker_url, "trending", "--limit", "2", "--json").stdout)
    assert len(found["items"]) == 2
    assert _graph(worker_url, "trending", "--limit", "0").exit_code == 2


def test_an_evolution_is_sessions_drift_and_interest(worker_url: str) -> None:
    shown = _graph(worker_url, "evolution", "u")
    assert shown.exit_code == 0, shown.output
    for words in ("Tent 2", "home 67%, light 33%", "drift of categories:", "by chance", "outdoor"):
        assert words in shown.stdout
    found = json.loads(_graph(worker_url, "evolution", "ü/1", "--json").stdout)
    assert [len(found["sessions"]), found["drift"]] == [1, []]
    one = json.loads(
        _graph(worker_url, "evolution", "u", "--gap-seconds", "604800", "--json").stdout
    )
    assert len(one["sessions"]) == 1
    unknown = _graph(worker_url, "evolution", "nobody")
    assert unknown.exit_code == 1
    assert "knows nothing of 'nobody'" in unknown.stderr


@pytest.mark.parametrize("command", ["ego", "evolution"])
@pytest.mark.parametrize("user", ["u", "tourist"])
def test_what_is_looked_up_of_a_user_can_be_drawn(
    command: str, user: str, worker_url: str, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "u.png"
    drawn = _graph(worker_url, command, user, "--png", str(picture), "--json")
    assert drawn.exit_code == 0, drawn.output
    assert picture.read_bytes().startswith(PNG)
    assert json.loads(drawn.stdout)["user_id"] == user


def test_a_picture_without_matplotlib_says_what_to_install(
    worker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "streams.cli.graph_pictures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    refused = _graph(worker_url, "ego", "u", "--png", str(tmp_path / "u.png"))
    assert refused.exit_code == 1
    assert "pip install 'freshrec[train]'" in refused.stderr


def test_of_a_large_graph_the_strongest_part_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    from streams import api
    from streams.cli.graph_pictures import _strongest

    nodes = [api.GraphNode(f"i{n}", "item", "$") for n in range(200)]
    edges = [api.GraphEdge("user:u", f"i{n}", "click", float(n), 1, 0) for n in range(200)]
    whole = api.NodeLinkGraph(
        directed=True, multigraph=True, graph=api.GraphAttributes(0),
        nodes=[*nodes, api.GraphNode("user:u", "user")], edges=edges,
    )  # fmt: skip
    part = _strongest(whole)
    names = {node.id for node in part.nodes}
    assert len(names) == 60
    assert {"user:u", "i199"} <= names
    assert "i0" not in names
    assert {edge.target for edge in part.edges} == names - {"user:u"}
