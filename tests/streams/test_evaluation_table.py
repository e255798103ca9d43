from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli.evaluate import evaluate
from streams.cli.evaluation_table import print_evaluation


def run(*arguments: str) -> Result:
    return CliRunner().invoke(evaluate, [*arguments, "--resamples", "100"])


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "log.tsv"
    path.write_text("".join(f"{u}\t{u} {u + 1} {u + 2} {u + 3} {u + 4}\n" for u in range(30)))
    return path


def test_baselines_come_as_a_table_the_best_one_first(log_file: Path) -> None:
    result = run(str(log_file))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("baselines, leave-one-out: 30 events of 30 users, 34 items ranked")
    head = next(i for i, line in enumerate(lines) if line.startswith("method"))
    rows = [line.split() for line in lines[head + 1 :] if line[:1].islower()]
    ndcgs = [float(row[4]) for row in rows if row[0] in {"graph", "popularity", "transitions_1"}]
    assert len(ndcgs) == 3
    assert ndcgs == sorted(ndcgs, reverse=True)
    assert "recall is the hit rate" in result.stdout
    assert "decayed_popularity not measured: the data has an order but no times" in result.stdout


def test_the_table_names_the_artefact_its_gains_and_whether_it_has_seen_the_events(
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_cutoff = {"5": 0.1, "10": 0.2, "20": 0.3}
    figures = {
        "hit_rate": by_cutoff, "ndcg": by_cutoff, "mrr": by_cutoff, "recall": by_cutoff,
        "debiased_hit_rate": by_cutoff, "coverage": {"10": 0.5},
        "interval_95": {"ndcg": {"10": [0.19, 0.21]}},
    }  # fmt: skip
    print_evaluation(
        {
            "model": {"name": "bert", "version": "abc"}, "protocol": "temporal", "examples": 1234,
            "users": 12, "items": 99, "repeat_policy": "allow", "confidence": {"level": 0.95},
            "encoder": figures, "graph": figures, "blend": figures, "baselines": {"ease": figures},
            "differences": [
                {"method": "blend", "over": "graph", "ndcg@10": 0.01, "interval_95": [0.005, 0.02]},
                {"method": "encoder", "over": "graph", "ndcg@10": 0.01, "interval_95": [-0.1, 0.1]},
            ],
            "held_out": False, "not_measured": {},
        }
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert shown.startswith("bert abc, temporal: 1,234 events of 12 users")
    assert "0.1900-0.2100" in shown
    assert "blend over graph: NDCG@10 +0.0100 (+0.0050 to +0.0200)" in shown
    assert "encoder over graph: NDCG@10 +0.0100 (-0.1000 to +0.1000, which may be chance)" in shown
    assert "was trained on these events" in shown


def test_a_log_that_cannot_be_evaluated_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    result = run(str(tmp_path / "missing.csv"))
    assert result.exit_code == 1
    assert "there is no file" in result.stderr
