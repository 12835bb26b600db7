"""What it all ran on: GPU, driver, versions, clocks."""

import importlib.metadata
import os
import platform
import subprocess
from functools import partial

from minicnn import __version__

PACKAGES = (
    "numpy",
    "numba",
    "torch",
    "triton",
    "cupy",
    "cuda-bindings",
    "cuda-core",
    "nvidia-cuda-nvrtc",
    "nvidia-cudnn",
)
GPU = "name,driver_version,memory.total,compute_cap,power.limit,clocks.max.sm,clocks.max.mem"
CLOCKS = "clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active,utilization.gpu"
PROPERTIES = "multiProcessorCount", "l2CacheSize", "totalGlobalMem", "major", "minor", "sharedMemPerBlockOptin"


def items(tiny):
    """(name, function): the functions return what they found, or {"missing": why}."""
    return [(look.__name__, partial(found_or_missing, look)) for look in (software, gpu, processor, cupy, pytorch)]


def found_or_missing(look):
    try:
        return look()
    except Exception as error:  # of any kind: a library that cannot look has nothing to say
        return {"missing": f"{type(error).__name__}: {error}"}


def software():
    """Versions; those of packages by whatever name they were installed, such as cupy-cuda13x."""
    installed = sorted((found.name, found.version) for found in importlib.metadata.distributions())
    packages = {name: version for name, version in installed if name.startswith(PACKAGES)}
    about = {"minicnn": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return {**about, "packages": packages}


def gpu():
    found = nvidia_smi(GPU)
    return {"gpu_name": found.pop("name"), **found}


def processor():
    from minicnn.train.environment import cpu_name  # which needs packages that nothing else here does

    return {"processor": cpu_name()}


def cupy():
    """The device and the versions of CUDA as CuPy sees them."""
    import cupy  # an optional package

    runtime, nvrtc = cupy.cuda.runtime, list(cupy.cuda.nvrtc.getVersion())
    found = runtime.getDeviceProperties(0)
    versions = {"driver_cuda": runtime.driverGetVersion(), "runtime_cuda": runtime.runtimeGetVersion(), "nvrtc": nvrtc}
    properties = {name: found.get(name) for name in PROPERTIES}
    return {"gpu_name": os.fsdecode(found["name"]), "cupy": cupy.__version__, **versions, "properties": properties}


def pytorch():
    import torch  # an optional package

    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found |= {"gpu_name": gpu.name, "multiprocessors": gpu.multi_processor_count, "total_memory": gpu.total_memory}
    return found


def clocks():
    """Clocks, temperature and power of this moment; None without nvidia-smi."""
    found = found_or_missing(partial(nvidia_smi, CLOCKS))
    return None if "missing" in found else found


def nvidia_smi(fields):
    """{field: text} of the first GPU."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0"]
    line = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=10, check=True).stdout
    return dict(zip(fields.split(","), map(str.strip, line.split(",")), strict=True))
