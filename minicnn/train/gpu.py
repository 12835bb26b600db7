"""What a result on device "cuda" depends on: the GPU, its driver, CUDA's runtime, CuPy and the compiler of the kernels.

A record must not end a run: what cannot be found out is the text "unknown".
"""

import os
import re
from pathlib import Path
from typing import Any

from ..emulated import emulating

DRIVER = Path("/proc/driver/nvidia/version")  # Linux's; CuPy knows only which CUDA the driver is for


def gpu_environment() -> dict[str, str]:
    """{name: text} of the GPU that arrays on "cuda" are on now; all "emulated" under ``MINICNN_EMULATE_GPU=1``."""
    return {name: "emulated" if emulating() else _told(ask) for name, ask in ASKED.items()}


def _told(ask):
    try:
        import cupy  # an optional package

        return ask(cupy)
    except Exception:  # of any kind: a library that fails, or lacks the function, has nothing to say
        return "unknown"


def _gpu(cupy: Any) -> str:
    found = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{os.fsdecode(found['name'])}, compute capability {found['major']}.{found['minor']}"


def _driver(cupy: Any) -> str:
    highest = f"for CUDA {_version(cupy.cuda.runtime.driverGetVersion())}"
    try:
        own = re.search(r"\d+(\.\d+)+", DRIVER.read_text())
    except OSError:
        own = None
    return f"{own[0]}, {highest}" if own else highest


def _version(number: int) -> str:
    """13.0 of CUDA's 13000."""
    return f"{number // 1000}.{number % 1000 // 10}"


ASKED = {
    "gpu": _gpu,
    "driver": _driver,
    "cuda": lambda cupy: _version(cupy.cuda.runtime.runtimeGetVersion()),
    "cupy": lambda cupy: str(cupy.__version__),
    "nvrtc": lambda cupy: ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
}
