"""Evaluation end to end; the trained artefact's own figures are in test_train."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import examples as examples_module
from model.artifact import Artifact
from model.data import leave_one_out
from model.datasets import read_data
from model.evaluate import evaluate
from model.log_files import read_log
from model.ranking import ranking_metrics

TRAINING_FREE = {"popularity", "own_history", "transitions_1", "transitions_5", "transitions_10"}


def write_log(path: Path, *, repeats: bool = False) -> Path:
    """40 users walk over items of the small artefact, most steps to a neighbour."""
    random = np.random.default_rng(4)
    lines = ["user_id,item_id,timestamp"]
    for user in range(40):
        item = int(random.integers(60))
        for step in range(9):
            lines.append(f"u{user},item-{item},{1_700_000_000 + 3600 * step + user}")
            if repeats and random.random() < 0.5:
                continue
            item = (item + int(random.integers(1, 4))) % 60
    lines += [f"u0,rare,{1_700_000_000 + 10}", f"u3,rarer,{1_700_000_000 + 10}"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs") / "log.csv")


def test_without_an_artefact_the_baselines_alone_are_measured(log_file: Path):
    report = evaluate(log_file, resamples=200)
    assert report["encoder"] is report["blend"] is report["model"] is report["held_out"] is None
    assert (report["examples"], report["users"]) == (40, 40)
    assert report["items"] == len(read_log(log_file).items)
    assert set(report["baselines"]) >= TRAINING_FREE | {"decayed_popularity"}
    assert report["graph"]["settings"]["predecessors"] == 5
    for figures in (report["graph"], *report["baselines"].values()):
        assert figures["recall"] == figures["hit_rate"]
        assert 0.0 <= figures["coverage"]["10"] <= 1.0
        low, high = figures["interval_95"]["hit_rate"]["10"]
        assert low <= figures["hit_rate"]["10"] <= high
    assert report["graph"]["hit_rate"]["5"] > 2 * report["baselines"]["popularity"]["hit_rate"]["5"]


def test_popularity_equals_a_naive_ranking(log_file: Path):
    log = read_log(log_file)
    split = leave_one_out(log)
    known = np.ones(log.events, np.bool_)
    known[split.test] = False
    counts = np.bincount(log.item[known], minlength=len(log.items))
    ranks = []
    for event in split.test.tolist():
        seen = set(log.item[log.starts[log.user[event]] : event].tolist())
        target = int(log.item[event])
        rivals = [i for i in range(len(log.items)) if i not in seen and counts[i] >= counts[target]]
        ranks.append(10**9 if target in seen else len(rivals))
    popularity = evaluate(log_file, resamples=100)["baselines"]["popularity"]
    for name, by_cutoff in ranking_metrics(np.array(ranks)).items():
        assert popularity[name] == pytest.approx(by_cutoff), name


@pytest.mark.parametrize("protocol", ["leave-one-out", "temporal"])
def test_the_size_of_the_chunks_changes_nothing(
    log_file: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, protocol: str
):
    at_once = evaluate(log_file, artifact.path, protocol=protocol, resamples=100)
    monkeypatch.setattr(examples_module, "CELLS_AT_ONCE", 62 * 7)
    in_parts = evaluate(log_file, artifact.path, protocol=protocol, resamples=100)
    for name in ("encoder", "graph", "blend"):
        for metric in ("hit_rate", "ndcg", "coverage"):
            assert in_parts[name][metric] == pytest.approx(at_once[name][metric])
    assert in_parts["baselines"].keys() == at_once["baselines"].keys()
    for name, figures in at_once["baselines"].items():
        assert in_parts["baselines"][name]["ndcg"] == pytest.approx(figures["ndcg"]), name


def test_encoder_blend_and_graph_are_compared_pair_by_pair(log_file: Path, artifact: Artifact):
    report = evaluate(log_file, artifact.path, resamples=200)
    assert report["model"]["name"] == "small"
    assert report["repeat_policy"] == "allow"
    assert report["known_targets"] == sum(name.startswith("item") for name in last_items(log_file))
    pairs = {(d["method"], d["over"]): d for d in report["differences"]}
    assert set(pairs) == {("blend", "encoder"), ("blend", "graph"), ("encoder", "graph")}
    for (method, over), pair in pairs.items():
        gained = report[method]["ndcg"]["10"] - report[over]["ndcg"]["10"]
        assert pair["ndcg@10"] == pytest.approx(gained)
        assert pair["interval_95"][0] <= gained <= pair["interval_95"][1]


def last_items(log_file: Path) -> list[str]:
    log = read_log(log_file)
    return [log.items[item] for item in log.item[leave_one_out(log).test].tolist()]


def test_order_only_data_has_no_decay_and_the_report_says_so(tmp_path: Path):
    path = tmp_path / "order.tsv"
    path.write_text("".join(f"{u}\t{u} {u + 1} {u + 2} {u + 3}\n" for u in range(20)))
    report = evaluate(path, resamples=100)
    assert "decayed_popularity" not in report["baselines"]
    assert "no times" in report["not_measured"]["decayed_popularity"]
    assert set(report["baselines"]) >= TRAINING_FREE
    assert report["graph"]["hit_rate"]["10"] > 0.8


def test_where_people_come_back_own_history_is_a_baseline(tmp_path: Path):
    path = write_log(tmp_path / "repeats.csv", repeats=True)
    report = evaluate(path, resamples=100)
    assert report["repeat_policy"] == "allow"
    assert report["baselines"]["own_history"]["hit_rate"]["5"] > 0.4
    without = evaluate(path, resamples=100, repeat_policy="exclude")
    assert without["repeat_policy"] == "exclude"
    assert without["baselines"]["own_history"]["hit_rate"]["20"] == 0.0


def test_rare_items_can_be_left_out(log_file: Path):
    frequent = np.bincount(read_log(log_file).item) >= 5
    assert 0 < frequent.sum() < len(frequent)
    report = evaluate(read_data(log_file, min_item_events=5), resamples=100)
    assert report["items"] == frequent.sum()


def test_the_same_seed_gives_the_same_report(log_file: Path):
    one, other = (evaluate(log_file, resamples=100, seed=seed) for seed in (3, 3))
    assert one == other
    another = evaluate(log_file, resamples=100, seed=4)
    assert another["graph"]["hit_rate"] == one["graph"]["hit_rate"]
    assert another["graph"]["interval_95"] != one["graph"]["interval_95"]


def test_a_baseline_that_is_not_installed_is_said_to_be_missing(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in [m for m in sys.modules if m.partition(".")[0] in {"easey", "implicit"}]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "easey", None)
    monkeypatch.setitem(sys.modules, "implicit", None)
    report = evaluate(log_file, resamples=100)
    assert set(report["not_measured"]) == {"ease", "item_knn"}
    assert not set(report["baselines"]) & {"ease", "item_knn"}
    assert set(report["baselines"]) >= TRAINING_FREE


def test_cold_items_need_an_artefact(log_file: Path):
    with pytest.raises(ValueError, match="needs --model, and --items"):
        evaluate(log_file, protocol="cold-items", items=log_file)


def test_evaluation_needs_no_torch():
    check = "import sys, model.evaluate; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
