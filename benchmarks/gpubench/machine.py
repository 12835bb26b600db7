"""What it all ran on: GPU, driver, versions, clocks."""

import functools
import importlib.metadata
import platform
import shutil
import subprocess

from minicnn import __version__

PACKAGES = ("numpy", "numba", "numba-cuda", "torch", "torchvision", "triton", "cuda-bindings", "cuda-core")
GPU = ("name", "driver_version", "memory.total", "compute_cap", "power.limit", "clocks.max.sm", "clocks.max.mem")
CLOCKS = (
    "clocks.sm",
    "clocks.mem",
    "temperature.gpu",
    "power.draw",
    "clocks_throttle_reasons.active",
    "utilization.gpu",
)


def items(settings):
    """(name, function): the functions return what they found, or {"missing": why}."""
    libraries = [(f.__name__, functools.partial(found_or_missing, f)) for f in (processor, cupy, pytorch)]
    return [("software", software), ("gpu", lambda: gpu() or {"missing": "nvidia-smi"}), *libraries]


def found_or_missing(look):
    try:
        return look()
    except Exception as error:  # of any kind: a library that cannot look has nothing to say
        return {"missing": f"{type(error).__name__}: {error}"}


def software():
    """Versions, by package; CuPy's and nvidia's packages by whatever name they were installed."""
    installed = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions() if d.metadata["Name"]}
    wanted = {name: installed.get(name) for name in PACKAGES}
    wanted |= {
        name: v for name, v in installed.items() if name.startswith(("cupy", "nvidia-cuda-nvrtc", "nvidia-cudnn"))
    }
    return {
        "minicnn": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(wanted.items())),
    }


def processor():
    from minicnn.train.environment import cpu_name  # which needs packages that nothing else here does

    return {"processor": cpu_name()}


def cupy():
    """The device and the versions of CUDA as CuPy sees them."""
    import cupy  # an optional package

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    names = "multiProcessorCount", "l2CacheSize", "totalGlobalMem", "major", "minor", "sharedMemPerBlockOptin"
    found = {name: properties.get(name) for name in names}
    gpu = properties["name"].decode() if isinstance(properties["name"], bytes) else properties["name"]
    versions = {"driver_cuda": runtime.driverGetVersion(), "runtime_cuda": runtime.runtimeGetVersion()}
    return {
        "gpu_name": gpu,
        "cupy": cupy.__version__,
        **versions,
        "nvrtc": list(cupy.cuda.nvrtc.getVersion()),
        "properties": found,
    }


def pytorch():
    """The same by PyTorch."""
    import torch  # an optional package

    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["gpu_name"], found["multiprocessors"] = properties.name, properties.multi_processor_count
        found["total_memory"] = properties.total_memory
    return found


def gpu():
    """What nvidia-smi says, or None."""
    found = query(GPU)
    return found and {"gpu_name": found.pop("name"), **found}


def clocks():
    """The clocks, temperature and power of this moment, or None without nvidia-smi."""
    return query(CLOCKS)


def query(fields):
    """{field: text} of the first GPU by nvidia-smi (NVML's own program), which only reads here; None without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    together = ask(program, fields)
    if together is not None and len(together) == len(fields):
        return dict(zip(fields, together, strict=True))
    return {
        field: " ".join(ask(program, [field]) or []) or None for field in fields
    }  # one that it does not know fails all


def ask(program, fields):
    """The texts, or None if it fails."""
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [text.strip() for text in done.stdout.split(",")] if done.returncode == 0 else None
