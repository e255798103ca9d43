"""The parts that a GPU encoder needs, one by one, on machines that have none of them."""

import ctypes
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model import gpu_check
from model.engine import CPU, CUDA, cuda_devices, open_session


def test_the_product_that_is_tried_is_a_product() -> None:
    session, provider = open_session(gpu_check.PRODUCT, "cpu")
    x = np.array([[1, 2], [3, 4]], np.float32)
    assert provider == CPU
    assert np.array_equal(session.run(None, {"x": x})[0], x @ x)


@pytest.mark.parametrize(
    ("wheels", "providers", "there"),
    [
        (["onnxruntime-gpu 1"], [CUDA, CPU], True),
        (["onnxruntime 1"], [CPU], False),
        (["onnxruntime 1", "onnxruntime-gpu 1"], [CUDA, CPU], False),
    ],
)
def test_the_wheel_must_be_built_for_cuda_and_be_there_once(
    wheels: list[str], providers: list[str], there: bool
) -> None:
    part = gpu_check.check_wheel(wheels, providers)
    assert part.is_there == there
    assert there or "freshrec[gpu]" in part.advice


def test_wheels_are_named_with_their_versions() -> None:
    def installed(name: str) -> str:
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return "9"

    assert gpu_check.installed_wheels(installed) == ["onnxruntime-gpu 9"]


def driver(init: int, devices: int) -> Any:
    def fill(value: int) -> Any:
        return lambda pointer: setattr(pointer._obj, "value", value) or 0

    return SimpleNamespace(
        cuInit=lambda _flags: init, cuDeviceGetCount=fill(devices), cuDriverGetVersion=fill(13010)
    )


def no_driver(_name: str) -> ctypes.CDLL:
    raise OSError


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (no_driver, "no NVIDIA driver here"),
        (lambda _: driver(100, 0), "it shows no GPU to this process"),
        (lambda _: driver(35, 0), "older than what CUDA needs"),
        (lambda _: driver(4242, 0), "cuInit says 4242"),
        (lambda _: driver(0, 0), "(speaks CUDA 13.1), but it shows no GPU"),
    ],
)
def test_a_driver_that_is_missing_or_shows_nothing_is_told(load: Any, words: str) -> None:
    part = gpu_check.check_driver(load)
    assert words in part.words
    assert part.advice


def test_a_driver_with_a_gpu_is_there() -> None:
    part = gpu_check.check_driver(lambda _: driver(0, 2))
    assert (part.words, part.is_there) == ("2 GPU, speaks CUDA 13.1", True)


def test_a_library_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    part = gpu_check.check_libraries(tmp_path)
    assert "libonnxruntime_providers_shared.so is missing" in part.words or (
        "libonnxruntime_providers_shared.so" in part.words
    )
    assert "freshrec[gpu]" in part.advice


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")
def test_without_a_gpu_something_is_missing_and_nothing_is_tried() -> None:
    parts = gpu_check.gpu_parts()
    assert any(not part.is_there for part in parts)
    assert "try" not in {part.name for part in parts}
