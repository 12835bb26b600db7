"""What a result depends on besides the program: versions, processor, number of threads, and the GPU (``gpu.py``).

BLAS adds up a matrix product in another order when it has another number of threads, and so do other versions and
processors: the last bits differ. Bit for bit, a run can be continued only in the environment that it was begun in.
"""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
from threadpoolctl import threadpool_limits

from ..device import cpu_cores, cpu_threads, cpu_unit, current_tier, set_cpu_threads
from ..distributed import world
from ..distributed.start import BLAS_VARIABLES
from ..precision import current_precision
from .gpu import ASKED, gpu_environment


def environment(device: str = "cpu") -> dict[str, str]:
    """{name: text}; device: where the network is."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    own = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,  # it decodes and resizes the pictures
        "blas": f"{blas['name']} {blas['version']}",
        "threads": _threads(),
        "ranks": str(world().size),
        "processor": cpu_name(),  # BLAS chooses its kernels by it
        "device": f"{device}, tier {current_tier()}",
        "precision": current_precision(),
    }
    if current_tier() == "fast":
        own["unit"] = cpu_unit()  # what multiplies, of the processor
    return own | (gpu_environment() if device == "cuda" else {})


def differences(before: dict[str, str], now: dict[str, str]) -> str:
    """What has changed, as text, such as "numpy 2.1 then, 2.2 now"; empty if nothing has."""
    # of a checkpoint from when there were no others, or nobody was told
    before = {"ranks": "1", "precision": "float32", "unit": now.get("unit", ""), **before}
    asked = [key for key in now if key in before or key not in ASKED]  # no GPU then: "device" says so
    return "; ".join(f"{key} {before.get(key)} then, {now[key]} now" for key in asked if before.get(key) != now[key])


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within the block ops have one thread on the CPU, unless $MINICNN_THREADS says how many: a matrix product that
    more of them share is added up in another order, and processes that share the cores have fewer each."""
    if os.environ.get("MINICNN_THREADS"):
        yield
        return
    before = cpu_threads()
    set_cpu_threads(1)
    try:
        with threadpool_limits(1, "blas"):  # the plain tier's
            yield
    finally:
        set_cpu_threads(before)


def _threads():
    """How many there are: of the fast tier's pool, or of BLAS for the plain one."""
    if current_tier() == "fast":
        return str(cpu_threads())
    for name in BLAS_VARIABLES:
        if os.environ.get(name):
            return os.environ[name]
    return str(len(cpu_cores()) if world().size == 1 else cpu_threads())
