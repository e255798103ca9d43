"""Ablations: which variants there are, and that a feature that matters is found to matter."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks import ablation_runs
from benchmarks.ablation_variants import GROUPS, variants
from benchmarks.ablations import main, markdown

BASE: dict[str, Any] = {
    "features": ["time_gap", "place"],
    "objective": "next",
    "layers": 2,
    "dim": 64,
}


def test_each_variant_changes_one_thing_of_the_base():
    found = variants(GROUPS, BASE)
    assert found[0].options == {}
    by_group = {group: [v for v in found if v.group == group] for group in GROUPS}
    assert [(v.name, v.options["features"]) for v in by_group["features"]] == [
        ("without time_gap", ["place"]),
        ("without place", ["time_gap"]),
        ("none", []),
    ]
    assert [v.options for v in by_group["objective"]] == [{"objective": "masked+next"}]
    assert [v.name for v in by_group["augmentation"]] == ["crop", "mask", "reorder", "all three"]
    assert [v.options for v in by_group["layers"]] == [{"layers": 1}, {"layers": 3}]
    assert [v.options for v in by_group["dim"]] == [{"dim": 32}, {"dim": 128}]
    assert all(len(variant.options) == 1 for variant in found[1:])


def test_a_feature_that_the_base_lacks_may_be_added():
    added = variants(["features"], BASE, ["place", "distance"])
    assert [v.name for v in added] == ["as it is", "without time_gap", "without place", "none",
                                       "with distance"]  # fmt: skip
    assert added[-1].options["features"] == ["time_gap", "place", "distance"]


def test_only_the_groups_that_are_asked_for_are_tried():
    assert [v.group for v in variants(["layers"], BASE)] == ["base", "layers", "layers"]
    assert len(variants(["features"], {**BASE, "features": []})) == 1
    assert [v.name for v in variants(["features"], {**BASE, "features": ["place"]})][1:] == ["none"]


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """Items come at random, but the type of an event says which item is next."""
    path = tmp_path / "clicks.csv"
    random = np.random.default_rng(2)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "timestamp", "event_type"])
        for user in range(60):
            items = random.integers(0, 40, 14)
            for step in range(13):
                time = 1_700_000_000 + user + 3600 * step
                writer.writerow([user, f"i{items[step]}", time, f"before-{items[step + 1]}"])
    return path


def ablate(log: Path, *more: str) -> Result:
    sizes = ["--features", "event_type", "--dim", "16", "--layers", "1", "--max-length", "8",
             "--dropout", "0", "--learning-rate", "0.01", "--batch-size", "32"]  # fmt: skip
    return CliRunner().invoke(
        main,
        [str(log), "--groups", "features", "--max-steps", "120", "--protocol", "leave-one-out",
         "--repeat-policy", "allow", *sizes, *more],
    )  # fmt: skip


@pytest.mark.slow
def test_the_feature_that_tells_the_next_item_is_found_to_matter(
    log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "out"
    result = ablate(log_file, "--out", str(out), "--json", "--seeds", "3")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["examples"], report["users"], report["seeds"]) == (60, 60, [3])
    base, without = report["variants"]
    assert (base["name"], without["name"]) == ("as it is", "none")
    assert base["encoder"]["ndcg"]["10"] > 0.8 > 0.4 > without["encoder"]["ndcg"]["10"]
    gain = without["over_base"]["encoder"]
    assert gain["ndcg@10"] == pytest.approx(
        without["encoder"]["ndcg"]["10"] - base["encoder"]["ndcg"]["10"]
    )
    assert gain["interval_95"][1] < 0  # surely worse
    assert base["over_base"]["encoder"] is None
    assert len(base["steps"]) == 1
    assert json.loads((out / "ablations.json").read_text()) == report
    assert (out / "ablations.md").read_text() == markdown(report)
    assert "none, seed 3" in result.stderr

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    # What is there is measured again and not trained again.
    monkeypatch.setattr(ablation_runs, "train", never)
    again = ablate(log_file, "--out", str(out), "--seeds", "3")
    assert again.exit_code == 0, again.output
    assert again.stdout == markdown(report)
    # What was trained otherwise, or has seen other test events, is trained anew.
    for other in (["--dim", "8"], ["--protocol", "temporal"]):
        result = ablate(log_file, "--out", str(out), "--seeds", "3", *other)
        assert isinstance(result.exception, AssertionError)


def test_the_table_shows_every_variant_and_its_difference_from_the_base():
    def row(group: str, name: str, ndcg: float, gain: float | None) -> dict[str, Any]:
        method = {"ndcg": {"10": ndcg}, "hit_rate": {"10": 2 * ndcg}}
        over = None if gain is None else {"ndcg@10": gain, "interval_95": [gain - 0.01, gain]}
        return {"group": group, "name": name, "encoder": method, "blend": method,
                "over_base": {"encoder": over}, "steps": [1000, 2000]}  # fmt: skip

    table = markdown(
        {"variants": [row("base", "as it is", 0.2, None), row("dim", "32", 0.15, -0.05)]}
    )
    assert table.splitlines()[2:] == [
        "|  | as it is | 0.2000 | 0.4000 |  | 0.2000 | 1,500 |",
        "| dim | 32 | 0.1500 | 0.3000 | -0.0500 (-0.0600 to -0.0500) | 0.1500 | 1,500 |",
    ]


def test_a_group_that_does_not_exist_is_wrong_use(tmp_path: Path):
    result = CliRunner().invoke(main, ["x.csv", "--out", str(tmp_path), "--groups", "heads"])
    assert result.exit_code == 2
    assert "features, objective, augmentation, layers, dim" in result.stderr
