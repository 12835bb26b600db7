"""What it all ran on: GPU, driver, versions, clocks."""

import functools
import importlib.metadata
import platform
import shutil
import subprocess

from minicnn import __version__

PACKAGES = ("numpy", "numba", "numba-cuda", "torch", "torchvision", "triton", "cuda-bindings", "cuda-core")
OTHERS = ("cupy", "nvidia-cuda-nvrtc", "nvidia-cudnn")  # by whatever name they were installed
GPU = "name,driver_version,memory.total,compute_cap,power.limit,clocks.max.sm,clocks.max.mem"
CLOCKS = "clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active,utilization.gpu"
PROPERTIES = "multiProcessorCount", "l2CacheSize", "totalGlobalMem", "major", "minor", "sharedMemPerBlockOptin"


def items(tiny):
    """(name, function): the functions return what they found, or {"missing": why}."""
    return [
        (look.__name__, functools.partial(found_or_missing, look)) for look in (software, gpu, processor, cupy, pytorch)
    ]


def found_or_missing(look):
    try:
        return look() or {"missing": "nvidia-smi"}
    except Exception as error:  # of any kind: a library that cannot look has nothing to say
        return {"missing": f"{type(error).__name__}: {error}"}


def software():
    """Versions, by package."""
    installed = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    packages = {name: installed.get(name) for name in PACKAGES}
    packages |= {name: version for name, version in installed.items() if name.startswith(OTHERS)}
    about = {"minicnn": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return {**about, "packages": dict(sorted(packages.items()))}


def gpu():
    """What nvidia-smi says, or None."""
    found = query(GPU)
    return found and {"gpu_name": found.pop("name"), **found}


def processor():
    from minicnn.train.environment import cpu_name  # which needs packages that nothing else here does

    return {"processor": cpu_name()}


def cupy():
    """The device and the versions of CUDA as CuPy sees them."""
    import cupy  # an optional package

    runtime, nvrtc = cupy.cuda.runtime, list(cupy.cuda.nvrtc.getVersion())
    properties = runtime.getDeviceProperties(0)
    gpu = properties["name"].decode() if isinstance(properties["name"], bytes) else properties["name"]
    versions = {"driver_cuda": runtime.driverGetVersion(), "runtime_cuda": runtime.runtimeGetVersion(), "nvrtc": nvrtc}
    found = {name: properties.get(name) for name in PROPERTIES}
    return {"gpu_name": gpu, "cupy": cupy.__version__, **versions, "properties": found}


def pytorch():
    """The same by PyTorch."""
    import torch  # an optional package

    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found |= {"gpu_name": gpu.name, "multiprocessors": gpu.multi_processor_count, "total_memory": gpu.total_memory}
    return found


def clocks():
    """The clocks, temperature and power of this moment, or None without nvidia-smi."""
    return query(CLOCKS)


def query(fields):
    """{field: text} of the first GPU by nvidia-smi (NVML's own program), which only reads here; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    names, together = fields.split(","), ask(fields)
    if len(together) == len(names):
        return dict(zip(names, together, strict=True))
    return {name: " ".join(ask(name)) or None for name in names}  # one that it does not know fails all


def ask(fields):
    """The texts; none if it fails."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [text.strip() for text in done.stdout.split(",")] if done.returncode == 0 else []
