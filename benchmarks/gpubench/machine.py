"""What it all ran on: GPU, driver, versions, clocks."""

import importlib.metadata
import os
import platform
import subprocess
from functools import partial

from minicnn import __version__
from minicnn.train.environment import cpu_name
from minicnn.train.gpu import gpu_environment

PACKAGES = "numpy", "numba", "torch", "triton", "cupy", "cuda-", "nvidia-cuda-nvrtc", "nvidia-cudnn"
GPU = "name,driver_version,memory.total,compute_cap,power.limit,clocks.max.sm,clocks.max.mem"
CLOCKS = "clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active,utilization.gpu"
PROPERTIES = "multiProcessorCount", "l2CacheSize", "totalGlobalMem", "major", "minor", "sharedMemPerBlockOptin"


def items(tiny):
    """(name, function): the functions return what they found, or {"missing": why}."""
    looks = software, gpu, processor, cupy, pytorch
    return [(look.__name__, partial(found_or_missing, look)) for look in looks]


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
    return {"processor": cpu_name()}


def cupy():
    """The device and the versions of CUDA as CuPy sees them."""
    import cupy  # an optional package

    gpu = cupy.cuda.runtime.getDeviceProperties(0)
    found = {"gpu_name": os.fsdecode(gpu["name"]), **gpu_environment()}
    return found | {"properties": {name: gpu.get(name) for name in PROPERTIES}}


def pytorch():
    import torch  # an optional package

    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if not torch.cuda.is_available():
        return found
    gpu = torch.cuda.get_device_properties(0)
    counts = {"multiprocessors": gpu.multi_processor_count, "total_memory": gpu.total_memory}
    return found | {"gpu_name": gpu.name, **counts}


def clocks():
    """Clocks, temperature and power of this moment; None without nvidia-smi."""
    found = found_or_missing(partial(nvidia_smi, CLOCKS))
    return None if "missing" in found else found


def nvidia_smi(fields):
    """{field: text} of the first GPU."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0"]
    line = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=10, check=True).stdout
    return dict(zip(fields.split(","), map(str.strip, line.split(",")), strict=True))
