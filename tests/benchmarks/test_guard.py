"""The quick ratio benchmark runs, and its history can be read."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks import guard


def test_a_run_tells_what_clicks_and_lists_cost_and_remembers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "HISTORY", tmp_path / "history.jsonl")
    first = CliRunner().invoke(guard.main, ["--short", "--append", "a change", "--json"])
    assert first.exit_code == 0, first.output
    told = msgspec.json.decode(first.output, type=guard.Figures)
    assert guard.read_history() == [told]
    assert told.change == "a change"
    for part in (told.fold_click, told.make_list, told.encoder):
        assert list(part) == [str(users) for users in guard.BATCHES]
        assert all(cost > 0 for cost in part.values())
    # A list of many together is cheaper than one alone.
    assert told.make_list["64"] < told.make_list["1"]


def test_the_table_stands_beside_the_last_figures() -> None:
    costs = {str(users): 1000.0 / users for users in guard.BATCHES}
    now = guard.Figures("", "2026-01-31", True, 512.3, costs, costs, costs)
    before = msgspec.structs.replace(now, make_list=dict.fromkeys(costs, 2000.0))
    shown = guard.table(now, before)
    assert "1000 (was 2000)" in shown
    assert "512 ns" in shown
    assert "was" not in guard.table(now, None)


def test_every_line_of_the_history_has_all_figures() -> None:
    history = guard.read_history()
    assert history, "benchmarks/history.jsonl is part of the project"
    for line in history:
        assert line.change
        assert set(line.make_list) >= {str(users) for users in guard.BATCHES}
