"""Whether an encoder could run on a GPU here: what is there, what is missing, and a try.

Nothing is taken on trust: a wheel that was built for CUDA names its provider on machines without
a GPU as well. So each part is looked at by itself, from the driver to a product of two matrices.
"""

import contextlib
import ctypes
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from model.artifact import ArtifactError
from model.engine import CUDA, open_session

# y = x · x of 2x2 float32, opset 17: the smallest graph that makes CUDA load cuBLAS.
PRODUCT = (
    b'\x08\x08:D\n\x11\n\x01x\n\x01x\x12\x01y"\x06MatMul\x12\x05probe'
    b"Z\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x02\n\x02\x08\x02"
    b"b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x02\n\x02\x08\x02B\x04\n\x00\x10\x11"
)

_PROVIDERS = ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so")
_MISSING = re.compile(r"(lib[\w+.-]+): cannot open shared object file")
_DRIVER = "libcuda.so.1"
_CUDNN = "libcudnn.so.9"
_LIBRARIES = "pip install 'freshrec[gpu]' brings the CUDA and cuDNN libraries"
_INSTALL_DRIVER = (
    "install NVIDIA's driver, on the host where this is a container, and give the container the"
    " GPU (--gpus all, or a resource nvidia.com/gpu)"
)
_RESULTS = {
    35: "its driver is older than what CUDA needs",
    100: "it shows no GPU to this process",
    803: "driver and kernel module are of different versions",
    999: "the driver reports an unknown error",
}


class Part(NamedTuple):
    """One thing that a GPU encoder needs; `advice` is empty where it is there."""

    name: str
    words: str
    advice: str = ""

    @property
    def is_there(self) -> bool:
        """Whether this part works."""
        return not self.advice


def gpu_parts() -> list[Part]:
    """Wheel, driver, libraries and a try, in the order in which to mend them."""
    wheel = check_wheel(installed_wheels(), ort.get_available_providers())
    if not wheel.is_there:
        return [wheel, check_driver()]
    driver = check_driver()
    libraries = check_libraries()
    parts = [wheel, driver, libraries]
    if all(part.is_there for part in parts):
        parts.append(try_product())
    return parts


def installed_wheels(installed: Callable[[str], str] = version) -> list[str]:
    """Distributions that provide `onnxruntime`, with their versions."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {installed(name)}")
        except PackageNotFoundError:
            continue
    return found


def check_wheel(wheels: Sequence[str], providers: Sequence[str]) -> Part:
    """Whether ONNX Runtime was built for CUDA, and is there once."""
    words = f"{' and '.join(wheels) or 'onnxruntime'}, providers {', '.join(providers)}"
    again = "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'freshrec[gpu]'"
    if len(wheels) > 1:
        return Part("wheel", f"{words}: two that share one import name", again)
    if CUDA not in providers:
        return Part("wheel", f"{words}: not built for CUDA", f"{again} (Linux on x86-64)")
    return Part("wheel", words)


def check_driver(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> Part:
    """NVIDIA's driver, and the GPUs that it shows this process."""
    try:
        driver = load(_DRIVER)
    except OSError:
        return Part("driver", f"no NVIDIA driver here ({_DRIVER} is missing)", _INSTALL_DRIVER)
    begun = driver.cuInit(0)
    if begun != 0:
        why = _RESULTS.get(begun, f"cuInit says {begun}")
        return Part("driver", f"a driver is here, but {why}", f"see nvidia-smi; {_INSTALL_DRIVER}")
    count, cuda = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    driver.cuDriverGetVersion(ctypes.byref(cuda))
    speaks = f"speaks CUDA {cuda.value // 1000}.{cuda.value % 1000 // 10}"
    if count.value == 0:
        words = f"a driver is here ({speaks}), but it shows no GPU"
        return Part("driver", words, "see nvidia-smi and CUDA_VISIBLE_DEVICES")
    return Part("driver", f"{count.value} GPU, {speaks}")


def check_libraries(directory: Path | None = None) -> Part:
    """What ONNX Runtime's CUDA part loads: cuBLAS, cuDNN and others, of its own major versions."""
    built = getattr(ort, "cuda_version", "") or "?"
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it does not find
            ort.preload_dlls()  # those that came as Python packages
    place = directory or Path(ort.__file__).parent / "capi"
    for name in (*(str(place / provider) for provider in _PROVIDERS), _CUDNN):
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            missing = _MISSING.search(str(error))
            if missing is not None and missing[1] == _DRIVER:
                continue  # of the driver, the last that the provider loads
            what = f"{missing[1]} is missing" if missing is not None else str(error)
            return Part("libraries", f"{what} (built for CUDA {built})", _LIBRARIES)
    return Part("libraries", f"those of CUDA {built} and cuDNN are there")


def try_product() -> Part:
    """One product of matrices by ONNX Runtime on the GPU, compared with what it must be."""
    try:
        session, provider = open_session(PRODUCT, "cuda")
        x = np.array([[1, 2], [3, 4]], np.float32)
        (y,) = session.run(None, {"x": x})
    except ArtifactError as error:
        return Part("try", str(error), _LIBRARIES)
    except Exception as error:  # noqa: BLE001  (ONNX Runtime raises a dozen unrelated classes)
        return Part(
            "try", f"a product of matrices failed: {error}", "see nvidia-smi: is it in use?"
        )
    if not np.allclose(y, x @ x):
        return Part("try", f"a product of matrices is wrong: {y.tolist()}", "the GPU is not sound")
    return Part("try", f"a product of matrices on {provider} is right")
