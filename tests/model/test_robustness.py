"""Quality under noise: the same examples at every share, and figures that follow the noise."""

from pathlib import Path

import numpy as np
import pytest

from model.artifact import Artifact
from model.data import temporal
from model.evaluate import evaluate
from model.log_files import read_log
from model.robustness import robustness
from tests.model.samples import HISTORY_START_MS, ITEMS


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users who go through the catalogue item by item: easy for the graph, without noise."""
    random = np.random.default_rng(0)
    lines = ["user_id,item_id,timestamp"]
    for user in range(60):
        first = int(random.integers(0, len(ITEMS)))
        start_ms = HISTORY_START_MS + int(random.integers(0, 10**9))
        lines += [
            f"u{user},{ITEMS[(first + n) % len(ITEMS)]},{start_ms + n * 3_600_000}"
            for n in range(15)
        ]
    path = tmp_path_factory.mktemp("log") / "clicks.csv"
    path.write_text("\n".join(lines))
    return path


def shares_of(report: dict) -> dict[float, dict]:
    return {row["share"]: row for row in report["shares"]}


def test_noise_in_the_histories_costs_the_graph_quality(clicks: Path, artifact: Artifact):
    report = robustness(clicks, artifact.path, shares=[0.5])
    rows = shares_of(report)
    assert list(rows) == [0.0, 0.5]
    assert rows[0.0]["graph_ndcg"] > 0.9
    assert rows[0.5]["graph_ndcg"] < 0.8 * rows[0.0]["graph_ndcg"]
    assert rows[0.5]["kept_ndcg"] == rows[0.5]["blend_ndcg"] / rows[0.0]["blend_ndcg"]
    assert rows[0.5]["inserted"] == 900
    log = read_log(clicks)
    assert report["examples"] == len(temporal(log, test_fraction=0.2, validation_fraction=0.0).test)


@pytest.mark.parametrize("protocol", ["temporal", "leave-one-out"])
def test_without_noise_the_figures_are_those_of_evaluate(
    clicks: Path, artifact: Artifact, protocol: str
):
    (row,) = robustness(clicks, artifact.path, shares=[0.0], protocol=protocol)["shares"]
    plain = evaluate(clicks, artifact.path, protocol=protocol, resamples=100)
    for method in ("encoder", "graph", "blend"):
        for metric in ("hit_rate", "ndcg"):
            assert row[f"{method}_{metric}"] == pytest.approx(plain[method][metric]["10"])


def test_bots_beside_the_users_leave_the_encoder_as_it_was(clicks: Path, artifact: Artifact):
    rows = shares_of(robustness(clicks, artifact.path, shares=[0.4], kind="bots"))
    assert rows[0.4]["inserted"] == 600
    assert rows[0.4]["encoder_ndcg"] == rows[0.0]["encoder_ndcg"]
    assert rows[0.4]["graph_ndcg"] != rows[0.0]["graph_ndcg"]


def test_a_sample_of_the_examples_is_the_same_at_every_share(clicks: Path, artifact: Artifact):
    report = robustness(clicks, artifact.path, shares=[0.2], max_examples=20, seed=4)
    again = robustness(clicks, artifact.path, shares=[0.2], max_examples=20, seed=4)
    assert report["examples"] == 20
    assert report == again


def test_wrong_kinds_protocols_and_shares_are_refused(clicks: Path, artifact: Artifact):
    with pytest.raises(ValueError, match="none of clicks, bots"):
        robustness(clicks, artifact.path, shares=[0.1], kind="hail")
    with pytest.raises(ValueError, match="not under 'cold-items'"):
        robustness(clicks, artifact.path, shares=[0.1], protocol="cold-items")
    with pytest.raises(ValueError, match="share of noise must be"):
        robustness(clicks, artifact.path, shares=[1.0])
