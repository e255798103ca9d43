"""The command `demo`: which artefact it shows."""

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import model.datasets
import streams.demo
from model.artifact import DEMO_ARTIFACT
from model.data import Event
from model.datasets import Dataset
from streams.cli import freshrec
from streams.demo import DemoPlan


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Artefacts that were shown, without a broker."""
    artefacts: list[Path] = []
    events = [Event("u", "i", 1000 * number) for number in range(10)]

    def run(plan: DemoPlan, _view: Any) -> dict[str, int]:
        assert plan.model_dir is not None
        artefacts.append(plan.model_dir)
        return {"clicks_published": len(plan.clicks), "clicks_processed": len(plan.clicks)}

    monkeypatch.setattr(model.datasets, "load_dataset", lambda name: Dataset(name, events, {}))
    monkeypatch.setattr(streams.demo, "run", run)
    return artefacts


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where artefacts were trained to, without training."""
    outs: list[Path] = []
    training = pytest.importorskip("model.train", exc_type=ImportError)
    monkeypatch.setattr(training, "train_demo", lambda out, progress: outs.append(out))
    return outs


def test_the_shipped_artefact_is_shown_or_the_one_that_is_named(
    shown: list[Path], tmp_path: Path
) -> None:
    for arguments in ([], ["--model", str(tmp_path)]):
        done = CliRunner().invoke(freshrec, ["demo", "--json", *arguments])
        assert done.exit_code == 0, done.output
        assert '"clicks_published":2' in done.stdout
    assert shown == [DEMO_ARTIFACT, tmp_path]


def test_an_artefact_trained_anew_is_shown_and_kept_where_model_says(
    shown: list[Path], trained: list[Path], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    for arguments in (["--model", str(kept)], []):
        done = CliRunner().invoke(freshrec, ["demo", "--train", "--json", *arguments])
        assert done.exit_code == 0, done.output
    assert trained == shown
    assert trained[0] == kept
    assert trained[1] != DEMO_ARTIFACT


def test_training_without_torch_says_what_to_install(
    shown: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model.train", None)
    done = CliRunner().invoke(freshrec, ["demo", "--train"])
    assert done.exit_code == 1
    assert "freshrec[train]" in done.stderr
    assert not shown
