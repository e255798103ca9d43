"""ONNX Runtime under a scorer: the device that runs a graph, and what the graph must look like."""

import ctypes
from collections.abc import Sequence
from typing import Any

import onnxruntime as ort

from model.artifact import VARIANTS, ArtifactError, Manifest
from model.graph_bounds import bound_memory, graph_fault

ENGINES = ("auto", "cpu", "cuda")
OUTPUTS = ("top_ids", "top_log_probs", "candidate_log_probs")
# Of artefacts with item text, beside the others: what scores an item that is not in the graph.
STATE_OUTPUTS = ("hidden", "log_normalizer")
VARIANT_KEY = "freshrec.variant"  # of the graph's metadata
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


class EngineError(ArtifactError):
    """The engine asked for cannot run here."""


def cuda_devices() -> int:
    """Number of CUDA devices that the driver shows this process; 0 without a driver."""
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def choose_providers(engine: str, devices: int, available: Sequence[str]) -> list[str]:
    """Execution providers to ask for. EngineError where `cuda` is asked for and not there."""
    if engine not in ENGINES:
        message = f"engine {engine!r} is none of {', '.join(ENGINES)}"
        raise EngineError(message)
    if engine == "cpu" or (engine == "auto" and (devices == 0 or CUDA not in available)):
        return [CPU]
    if CUDA not in available:
        message = "engine cuda needs the onnxruntime-gpu package: install it, or use engine cpu"
        raise EngineError(message)
    if devices == 0:
        message = "engine cuda finds no CUDA device: check nvidia-smi, or use engine cpu"
        raise EngineError(message)
    return [CUDA, CPU]


def open_session(model: bytes, engine: str) -> tuple[Any, str]:
    """An ONNX Runtime session of ONNX bytes, and the provider that it runs on.

    A call takes one thread of the CPU. EngineError where the engine is not to be had, else
    ArtifactError: also for a graph that could run for ever, reads other files or needs other
    libraries.
    """
    fault = graph_fault(model)
    if fault is not None:
        message = f"ONNX Runtime cannot load the model: it {fault}"
        raise ArtifactError(message)
    providers = choose_providers(engine, cuda_devices(), ort.get_available_providers())
    if CUDA in providers and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA and cuDNN from their Python packages, where those are installed
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if providers == [CPU]:
        bound_memory(options)
    # On a CPU the fused norm is slower than its parts: 5,000 against 5,700 windows/s (d = 64).
    disabled = ["SkipLayerNormFusion"] if providers == [CPU] else []
    try:
        session = ort.InferenceSession(
            model, options, providers=providers, disabled_optimizers=disabled
        )
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"ONNX Runtime cannot load the model: {reason}"
        raise ArtifactError(message) from error
    provider = session.get_providers()[0]
    if provider != providers[0]:
        message = (
            f"engine {engine} was to run on {providers[0]} but ONNX Runtime fell back to "
            f"{provider}: install the matching CUDA and cuDNN libraries, or use engine cpu"
        )
        raise EngineError(message)
    return session, provider


def check_signature(manifest: Manifest, session: Any) -> None:
    """ArtifactError where the graph's variant, inputs or outputs are not what the manifest says."""
    # A graph in fp32 names no variant; the others do, in what the manifest's sha256 covers.
    variant = session.get_modelmeta().custom_metadata_map.get(VARIANT_KEY, VARIANTS[0])
    if variant != manifest.variant:
        message = (
            f"the model is of the variant {variant}, but its manifest says {manifest.variant}: "
            "export it again"
        )
        raise ArtifactError(message)
    wanted = set(manifest.feature_spec().input_names())
    found = {node.name for node in session.get_inputs()}
    if wanted != found:
        message = (
            f"the model takes the inputs {sorted(found)}, but its manifest's features need "
            f"{sorted(wanted)}"
        )
        raise ArtifactError(message)
    for node in session.get_inputs():
        if node.type != "tensor(int64)" or any(isinstance(size, int) for size in node.shape):
            message = f"input {node.name} of the model is not an int64 of free shape"
            raise ArtifactError(message)
    outputs = [node.name for node in session.get_outputs()]
    stated = OUTPUTS if manifest.text is None else OUTPUTS + STATE_OUTPUTS
    if outputs != list(stated):
        message = f"the model gives {outputs}, not {list(stated)}"
        raise ArtifactError(message)
