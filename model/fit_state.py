"""Where an interrupted fit goes on: weights, optimiser and progress on disk.

Written under another name and moved, so that a state is whole or not there.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.data import DataError
from model.fit_curve import Point

STATE_FILE = "fit.safetensors"
_META = "progress"


class Progress(msgspec.Struct):
    """How far a fit is. fingerprint: what it is a fit of."""

    fingerprint: str
    step: int = 0
    pretraining_steps: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_step: int = 0
    since_best: int = 0
    next_evaluation: int = 0
    curve: list[Point] = []


def save_state(
    directory: Path,
    progress: Progress,
    encoder: nn.Module,
    average: nn.Module,
    best: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write everything that `load_state` needs."""
    tensors = {
        **_named("encoder", encoder.state_dict()),
        **_named("average", average.state_dict()),
        **_named("best", best),
    }
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= _named(f"adam.{index}", values)
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f"{STATE_FILE}.part"
    save_file(
        {name: value.detach().contiguous().clone() for name, value in tensors.items()},
        unfinished,
        {_META: msgspec.json.encode(progress).decode()},
    )
    unfinished.replace(directory / STATE_FILE)


def load_state(
    directory: Path,
    fingerprint: str,
    encoder: nn.Module,
    average: nn.Module,
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> Progress | None:
    """Put a saved state into what was just made; None where there is none.

    DataError where it is not whole, or of another fit.
    """
    path = directory / STATE_FILE
    if not path.is_file():
        return None
    try:
        tensors = load_file(path)
        progress = msgspec.json.decode(_metadata(path), type=Progress)
        if progress.fingerprint != fingerprint:
            message = (
                f"{path} is the state of a fit with other data or options: give the same ones, "
                "or remove it to start again"
            )
            raise DataError(message)
        encoder.load_state_dict(_part("encoder", tensors))
        average.load_state_dict(_part("average", tensors))
        best.update(_part("best", tensors))
        _fill_optimizer(optimizer, tensors)
    except (OSError, KeyError, RuntimeError, SafetensorError, msgspec.MsgspecError) as error:
        message = f"{path} cannot be read ({error}): remove it to start again"
        raise DataError(message) from error
    return progress


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state = optimizer.state_dict()
    state["state"] = {
        index: values
        for index in range(sum(len(group["params"]) for group in state["param_groups"]))
        if (values := _part(f"adam.{index}", tensors))
    }
    optimizer.load_state_dict(state)


def _metadata(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return str((file.metadata() or {})[_META])


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }
