"""What a fit runs on: device, precision of its arithmetic, and its place among processes.

Several GPUs train together as the processes of one `torchrun`: each takes its share of the batches
of an epoch, gradients are averaged, and every process keeps the same weights, so that each comes
to the same decisions without being told. Without GPUs the same code runs on CPUs (gloo).
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Self

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class HardwareError(RuntimeError):
    """The machine has not what was asked for; the message says what to do."""


class Hardware:
    """One process of a training: its device, its precision, and who trains with it."""

    def __init__(
        self, device: str = "cpu", precision: str = "fp32", *, rank: int = 0, processes: int = 1
    ) -> None:
        self.device = torch.device(device)
        self.precision = precision
        self.rank = rank
        self.processes = processes
        # Gradients of fp16 underflow; the scaler does nothing for the others.
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")

    @classmethod
    def of_machine(cls, device: str = "auto", precision: str = "auto") -> Self:
        """What to train on, joining the other processes if `torchrun` started this one.

        auto: a GPU if there is one, and there bf16, or fp16 where it is older than that; fp32 on a
        CPU. HardwareError where the machine has no such device.
        """
        if device not in DEVICES or precision not in PRECISIONS:
            message = f"device is one of {DEVICES}, precision one of {PRECISIONS}"
            raise HardwareError(message)
        found = torch.cuda.is_available()
        if device == "cuda" and not found:
            message = (
                "torch finds no CUDA device: check the driver with nvidia-smi, or take --device cpu"
            )
            raise HardwareError(message)
        kind = "cuda" if found and device != "cpu" else "cpu"
        if precision == "auto":
            precision = "fp32"
            if kind == "cuda":
                precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if processes == 1:
            return cls(kind, precision)
        rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
        if kind == "cuda":
            torch.cuda.set_device(local)
            kind = f"cuda:{local}"
        if not dist.is_initialized():
            dist.init_process_group("nccl" if kind != "cpu" else "gloo")
        return cls(kind, precision, rank=rank, processes=processes)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks to the user."""
        return self.rank == 0

    def tensors(self, arrays: Mapping[str, NDArray[np.int64]]) -> dict[str, Tensor]:
        """Arrays on the device."""
        return {
            name: torch.from_numpy(array).to(self.device, non_blocking=True)
            for name, array in arrays.items()
        }

    def autocast(self) -> AbstractContextManager[object]:
        """The context of everything between inputs and loss."""
        return torch.autocast(
            self.device.type, _DTYPES[self.precision], enabled=self.precision != "fp32"
        )

    def together(self, module: nn.Module, *, may_skip_weights: bool) -> nn.Module:
        """`module` with its gradients averaged over all processes.

        may_skip_weights: there are steps that leave some weights without a gradient.
        """
        if self.processes == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=may_skip_weights)

    def step(
        self, loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer, *, max_norm: float
    ) -> None:
        """Backward pass, gradients clipped to `max_norm`, and a step of the optimiser."""
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(module.parameters(), max_norm)
        self._scaler.step(optimizer)
        self._scaler.update()

    def any_of_us(self, flag: bool) -> bool:
        """Whether it is so for any of the processes; every process must ask."""
        if self.processes == 1:
            return flag
        told = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told.item())

    def close(self) -> None:
        """Leave the other processes."""
        if self.processes > 1 and dist.is_initialized():
            dist.destroy_process_group()


CPU = Hardware()
