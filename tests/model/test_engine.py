"""Which device a graph runs on."""

import pytest

from model.artifact import Artifact
from model.engine import EngineError, choose_providers, cuda_devices
from model.scorer import EncoderScorer

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def test_an_engine_is_chosen_by_what_is_asked_for_and_there():
    assert choose_providers("cpu", 1, [CUDA, CPU]) == [CPU]
    assert choose_providers("auto", 0, [CUDA, CPU]) == [CPU]
    assert choose_providers("auto", 1, [CPU]) == [CPU]
    assert choose_providers("auto", 1, [CUDA, CPU]) == [CUDA, CPU]
    assert choose_providers("cuda", 1, [CUDA, CPU]) == [CUDA, CPU]


@pytest.mark.parametrize(
    ("engine", "devices", "available", "fault"),
    [
        ("cuda", 0, [CUDA, CPU], "no CUDA device"),
        ("cuda", 1, [CPU], "onnxruntime-gpu"),
        ("tpu", 1, [CUDA, CPU], "none of auto, cpu, cuda"),
    ],
)
def test_a_gpu_that_is_not_there_is_an_error_and_never_a_cpu(
    engine: str, devices: int, available: list[str], fault: str
):
    with pytest.raises(EngineError, match=fault):
        choose_providers(engine, devices, available)


@pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a CUDA device")
def test_loading_on_cuda_without_a_device_fails(artifact: Artifact):
    with pytest.raises(EngineError, match="cuda"):
        EncoderScorer.load(artifact.path, engine="cuda")
