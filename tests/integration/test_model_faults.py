"""On real Kafka: whatever is wrong with a model, lists go on and the log says why."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.bench.oracle import latest, read_topic
from streams.settings import Settings
from streams.worker_process import WorkerProcess
from tests.integration.running import (
    Outgoing,
    click,
    figures,
    flags_for,
    running,
    send,
    wait_for_all,
    wait_until,
)

pytestmark = pytest.mark.kafka

GOOD = Path(__file__).parents[2] / "model" / "demo_artifact"
ITEMS: list[str] = json.loads((GOOD / "items.json").read_bytes())[:6]


def _cut_off(directory: Path) -> None:
    model = directory / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1000])


def _tampered(directory: Path) -> None:
    items = directory / "items.json"
    items.write_bytes(items.read_bytes().replace(b'"1"', b'"7"', 1) + b" ")


def _other_features(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["features"] = [*manifest["features"], "mood"]
    (directory / "manifest.json").write_text(json.dumps(manifest))


def _no_manifest_in_json(directory: Path) -> None:
    (directory / "manifest.json").write_bytes(b"{")


FAULTS: list[Callable[[Path], None]] = [_cut_off, _tampered, _other_features, _no_manifest_in_json]


def _serve(models: Path, fault: Callable[[Path], None] | None, name: str) -> None:
    """Put an artefact in place as a promotion does: by one change of a link."""
    directory = Path(shutil.copytree(GOOD, models / name))
    if fault is not None:
        fault(directory)
    link = models / "next"
    link.symlink_to(directory.name)
    link.replace(models / "current")


class Deployment:
    """A worker with a models directory, and what it published."""

    def __init__(self, flags: dict[str, Any], worker: WorkerProcess) -> None:
        self.flags = flags
        self.settings = Settings(**flags)
        self.worker = worker
        self._users = 0

    def reloads(self, outcome: str) -> float:
        return figures(self.flags)[f"freshrec_model_reloads_total{{{outcome}}}"]

    def list_of_a_new_user(self) -> dict[str, Any]:
        self._users += 1
        user = f"u{self._users}"
        send(self.settings, [Outgoing(user.encode(), click(user, item)) for item in ITEMS])
        wait_for_all(self.settings, self.worker)
        body = latest(read_topic(self.settings, self.settings.recommendations))[user.encode()]
        published: dict[str, Any] = json.loads(body)
        return published


def _refusals(worker: WorkerProcess) -> list[str]:
    return [line for line in worker.log_tail(1000).splitlines() if "model refused: " in line]


def test_bad_models_are_refused_one_after_the_other_and_a_good_one_is_picked_up(
    kafka: str, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    flags = flags_for(kafka, tmp_path, encoder=None, model_dir=models / "current", engine="cpu")
    with running(flags, tmp_path / "worker.log") as worker:
        deployment = Deployment(flags, worker)
        assert deployment.reloads("refused") == 1  # there is none
        deployment.list_of_a_new_user()  # whose clicks the graph has when the next one comes
        first = deployment.list_of_a_new_user()
        assert (first["served_by"], first["degraded_reason"]) == ("graph", "model_missing")
        assert first["model"] is None

        for number, fault in enumerate(FAULTS, 2):
            _serve(models, fault, fault.__name__)
            wait_until(
                lambda number=number: deployment.reloads("refused") == number,
                f"{fault.__name__} is refused",
                worker,
            )
        refusals = _refusals(worker)
        assert len(refusals) == len(FAULTS) + 1
        assert "freshrec train" in refusals[0]
        assert "model.onnx" in refusals[1]
        assert "items.json" in refusals[2]
        assert "mood" in refusals[3]
        assert "manifest.json" in refusals[4]
        assert all("lists come from the graph" in refusal for refusal in refusals)
        assert "Traceback" not in worker.log_tail(1000)

        _serve(models, None, "good")
        wait_until(lambda: deployment.reloads("loaded") == 1, "the good one is loaded", worker)
        served = deployment.list_of_a_new_user()
        manifest = json.loads((GOOD / "manifest.json").read_bytes())
        assert (served["served_by"], served["degraded_reason"]) == ("bert+graph", None)
        assert served["model"]["version"] == manifest["version"]
        assert served["items"]

        _serve(models, _tampered, "tampered again")
        count = len(FAULTS) + 2
        wait_until(lambda: deployment.reloads("refused") == count, "it is refused", worker)
        assert f"model {manifest['version']} stays" in _refusals(worker)[-1]
        assert deployment.list_of_a_new_user()["served_by"] == "bert+graph"
        counted = figures(flags)
        assert counted["freshrec_degraded_total{model_missing}"] > 0
        assert counted["freshrec_inference_total{ok}"] > 0
