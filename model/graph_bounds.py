"""Bounds on what a foreign ONNX graph may use: nothing that could run for ever, memory, time.

An artefact's hashes say that it is whole, not that it means well. What can be seen in the bytes of
its graphs is refused before ONNX Runtime sees them (`model.onnx_wire`); what cannot is bounded
while they run.
"""

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort

from model.onnx_wire import graph_fault

__all__ = ["MEMORY_SHARE", "bound_memory", "graph_fault", "memory_bytes", "stop_after"]

MEMORY_SHARE = 0.5
"""Of the machine's memory, or the container's: what all sessions of a process may use together."""

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_bytes(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """Memory of the machine, or of the container where that has less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(cgroup_limit.read_text()))
    except (OSError, ValueError):  # no cgroups of version 2, or "max"
        return physical


def bound_memory(options: Any) -> None:
    """Have a session on the CPU take its memory from the bounded allocator of this process.

    A graph can ask for any size as soon as it runs, and the kernel would end the whole worker. With
    a bound, the run fails instead.
    """
    _register_allocator()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # What is no ONNX would else be taken for ONNX Runtime's own format, which nobody looked at.
    options.add_session_config_entry("session.load_model_format", "ONNX")


@functools.cache
def _register_allocator() -> None:
    where = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(
        where, ort.OrtArenaCfg({"max_mem": int(MEMORY_SHARE * memory_bytes())})
    )


@contextmanager
def stop_after(seconds: float) -> Iterator[Any]:
    """Run options under which the engine gives up, between two operators, when the time is over."""
    options = ort.RunOptions()
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()
