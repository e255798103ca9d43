"""Hardware: what a machine without a GPU can show of precision and of several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from model.artifact import load_artifact
from model.fit import FitOptions, fit
from model.hardware import CPU, Hardware, HardwareError
from tests.model.planted import planted_events, planted_fit

OPTIONS = FitOptions(
    max_seconds=120,
    max_steps=200,
    patience=100,
    learning_rate=5e-3,
    batch_size=32,
    seed=1,
    last_window_share=0.5,
)


def test_a_cpu_is_taken_as_it_is_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = Hardware.of_machine()
    assert (found.device.type, found.precision, found.processes) == ("cpu", "fp32", 1)
    assert found.is_first


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_is_taken_with_the_precision_that_it_has(
    has_bf16: bool, precision: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    found = Hardware.of_machine()
    assert (found.device.type, found.precision) == ("cuda", precision)
    assert Hardware.of_machine("cpu").precision == "fp32"


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HardwareError, match="take --device cpu"):
        Hardware.of_machine("cuda")
    with pytest.raises(HardwareError, match="precision one of"):
        Hardware.of_machine("cpu", "fp4")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("objective", ["next", "masked+next"])
def test_half_the_bits_learn_the_planted_transitions_too(precision: str, objective: str):
    _, split, encoded, config = planted_fit(masked=objective != "next")
    options = OPTIONS._replace(objective=objective, pretraining_steps=40)
    fitted = fit(
        config, encoded, split.train, split.validation, options,
        hardware=Hardware("cpu", precision),
    )  # fmt: skip
    assert fitted.ndcg_at_10 > 0.75
    assert {weight.dtype for weight in fitted.encoder.parameters()} == {torch.float32}


def test_the_precision_of_the_arithmetic_is_what_was_asked_for():
    layer, values = torch.nn.Linear(4, 4), torch.ones(2, 4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Hardware("cpu", precision).autocast():
            assert layer(values).dtype == dtype


def test_gradients_are_clipped_before_the_step():
    layer = torch.nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    before = layer.weight.detach().clone()
    CPU.step(1e6 * layer(torch.ones(1, 3)).sum(), layer, optimizer, max_norm=0.5)
    assert (layer.weight - before).norm().item() == pytest.approx(0.5, rel=1e-3)


def run_two(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        capture_output=True, text=True, timeout=240, check=False, env=environment,
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_two_processes_train_one_encoder(tmp_path: Path):
    log = tmp_path / "clicks.csv"
    rows = [f"{user},{item},{time}" for user, item, time, *_ in planted_events()]
    log.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    program = tmp_path / "freshrec.py"
    program.write_text("from streams.cli import main\nmain()\n")
    state = tmp_path / "state"
    done = run_two([
        str(program), "train", str(log), "--out", str(tmp_path / "model"), "--device", "cpu",
        "--dim", "16", "--layers", "1", "--max-length", "10", "--dropout", "0.1", "--seed", "1",
        "--learning-rate", "5e-3", "--batch-size", "16", "--max-minutes", "0.3",
        "--features", "", "--resume", str(state), "--refit", "--json",
    ])  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)  # one report, by the first process
    assert report["training"]["processes"] == 2
    assert report["validation"]["encoder"]["ndcg"]["10"] > 0.6
    assert load_artifact(tmp_path / "model").manifest.training["processes"] == 2
    assert (state / "refit").is_dir()


def test_processes_share_the_batches_and_end_in_the_same_weights(tmp_path: Path):
    program = tmp_path / "two.py"
    program.write_text(
        "import torch\n"
        "from model.fit import fit\n"
        "from model.hardware import Hardware\n"
        "from tests.model.planted import planted_fit\n"
        "from tests.model.test_hardware import OPTIONS\n"
        "_, split, encoded, config = planted_fit()\n"
        "hardware = Hardware.of_machine('cpu')\n"
        "options = OPTIONS._replace(max_steps=20, batch_size=16)\n"
        "found = fit(config, encoded, split.train, split.validation, options, hardware=hardware)\n"
        f"torch.save(found.encoder.state_dict(), r'{tmp_path}/' + str(hardware.rank))\n"
        "hardware.close()\n"
    )
    done = run_two([str(program)])
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / str(rank)) for rank in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    _, split, encoded, config = planted_fit()
    alone = fit(
        config, encoded, split.train, np.zeros(0, np.int64),
        OPTIONS._replace(max_steps=20, batch_size=16),
    ).encoder.state_dict()  # fmt: skip
    assert not torch.equal(one["item_bias"], alone["item_bias"])
