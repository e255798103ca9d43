"""Hardware: what a machine without a GPU can show of precision and of several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

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
FEW = OPTIONS._replace(max_steps=20, batch_size=16)


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


class Together(NamedTuple):
    """What two processes, started as `torchrun` starts them, have left behind."""

    folder: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """One start for both tests, since three processes have to load torch: a fit, and a command."""
    folder = tmp_path_factory.mktemp("together")
    rows = [f"{user},{item},{time}" for user, item, time, *_ in planted_events()]
    (folder / "clicks.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    program = folder / "two.py"
    program.write_text(
        "import functools\n"
        "from pathlib import Path\n"
        "import torch\n"
        "import model.train\n"
        "from model.fit import fit\n"
        "from model.hardware import Hardware\n"
        "from streams.cli import main\n"
        "from tests.model.planted import planted_fit\n"
        "from tests.model.test_hardware import FEW\n"
        "_, split, encoded, config = planted_fit()\n"
        "hardware = Hardware.of_machine('cpu')\n"
        "found = fit(config, encoded, split.train, split.validation, FEW, hardware=hardware)\n"
        "torch.save(found.encoder.state_dict(), Path(__file__).parent / str(hardware.rank))\n"
        # Steps and not minutes bound the command's fits: they end alike on a busy machine.
        "model.train.train = functools.partial(model.train.train, max_steps=150)\n"
        "main()\n"
    )
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(program), "train", str(folder / "clicks.csv"),
         "--out", str(folder / "model"), "--device", "cpu", "--dim", "16", "--layers", "1",
         "--max-length", "10", "--dropout", "0.1", "--seed", "1", "--learning-rate", "5e-3",
         "--batch-size", "16", "--features", "", "--resume", str(folder / "state"), "--refit",
         "--json"],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Together(folder, done)


@pytest.mark.timeout(300)
def test_two_processes_train_one_encoder(together: Together):
    report = json.loads(together.done.stdout)  # one report, by the first process
    assert report["training"]["processes"] == 2
    assert report["validation"]["encoder"]["ndcg"]["10"] > 0.6
    assert load_artifact(together.folder / "model").manifest.training["processes"] == 2
    assert (together.folder / "state" / "refit").is_dir()


@pytest.mark.timeout(300)
def test_processes_share_the_batches_and_end_in_the_same_weights(together: Together):
    one, other = (torch.load(together.folder / str(rank)) for rank in (0, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
    _, split, encoded, config = planted_fit()
    alone = fit(config, encoded, split.train, np.zeros(0, np.int64), FEW).encoder.state_dict()
    assert not torch.equal(one["item_bias"], alone["item_bias"])
