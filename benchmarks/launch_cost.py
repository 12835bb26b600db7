"""The microseconds of Python that a launch takes: what this project adds to CuPy's own, kernel by kernel.

    python benchmarks/launch_cost.py [--out benchmarks/results]

It takes no GPU: without CuPy, a stand-in's arrays and a kernel that does nothing take their place, so that "ours" is
all there is to see. With CuPy and a GPU, "CuPy" is what its RawKernel takes with the same arguments, of which each
costs it some tenths of a microsecond. The best of many rounds counts: others use the processor, too.
"""

import argparse
import json
import sys
import time
import types
from pathlib import Path

import numpy as np

from minicnn.console import say
from minicnn.kernels.cuda import launch
from minicnn.kernels.cuda.launch import CudaFile
from minicnn.kernels.cuda.source import FOLDER, kernels
from minicnn.train.environment import cpu_name

FILES = ("activation.cu", "arithmetic.cu", "batchnorm.cu", "conv.cu")  # kernels of few arguments and of many
LAUNCHES = 100  # of a round


class Array:
    """What a launch asks of CuPy's arrays."""

    __slots__ = ("_c_contiguous", "data", "dtype", "flags", "ndim", "shape")
    __cuda_array_interface__ = property(lambda self: {})

    def __init__(self, dtype):
        self.dtype, self.shape, self.ndim, self._c_contiguous = dtype, (8,), 1, True
        self.flags, self.data = types.SimpleNamespace(c_contiguous=True), types.SimpleNamespace(device_id=0)


def stand_in():
    """A module `cupy` of such arrays, where there is none; and kernels that do nothing."""
    cupy, cuda, runtime = (types.ModuleType(name) for name in ("cupy", "cupy.cuda", "cupy.cuda.runtime"))
    cupy.ndarray, cupy.cuda, cuda.runtime, runtime.getDevice = Array, cuda, runtime, lambda: 0
    runtime.getDeviceCount = lambda: 1
    for module in (cupy, cuda, runtime):
        sys.modules[module.__name__] = module
    launch._gpu_kernel = lambda path, name: lambda grid, block, values, shared_mem: None
    return lambda dtype: Array(np.dtype(dtype))


def arrays():
    """(whether CuPy is there, a function that makes an array of a dtype)."""
    try:
        import cupy

        cupy.empty(1)
    except Exception:  # not installed, no GPU, no driver: CuPy has a class for each
        return False, stand_in()
    return True, lambda dtype: cupy.empty(8, dtype)


def best(function, rounds):
    """The least microseconds that a call took."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(LAUNCHES):
            function()
        seconds.append((time.perf_counter() - start) / LAUNCHES)
    return 1e6 * min(seconds)


def costs(kernel, make, rounds):
    """(how many arguments, microseconds of a launch, those of CuPy's part)."""
    real = np.dtype("float32")
    given = [make(p.dtype(real)) if p.is_array else p.kind(1) for p in kernel.parameters]
    kernel[0, 32](*given)  # of no block: checked, and nothing is run
    plan = kernel.plans[real]
    values = tuple(plan.values(given))
    whole = best(lambda: kernel[64, 256](*given), rounds)
    return len(given), whole, best(lambda: plan.compiled((64, 1, 1), (256, 1, 1), values, shared_mem=0), rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100, help="of which the best counts (default: 100)")
    parser.add_argument("--out", type=Path, help="folder to write launch_cost.json into")
    args = parser.parse_args()
    there, make = arrays()
    say(f"{cpu_name()}, Python {sys.version.split()[0]}, {'CuPy' if there else 'a stand-in for CuPy'}")
    say(f"{'kernel':32}{'arguments':>11}{'ours':>9}{'CuPy':>9}   microseconds a launch")
    rows = {}
    for file in FILES:
        for name in kernels(FOLDER / file):
            count, whole, cupys = costs(vars(CudaFile(file))[name], make, args.rounds)
            rows[name] = {"arguments": count, "ours": round(whole - cupys, 2), "cupy": round(cupys, 2)}
            say(f"{name:32}{count:11}{whole - cupys:9.1f}{cupys:9.1f}")
    if args.out:
        result = {"processor": cpu_name(), "cupy": there, "python": sys.version.split()[0], "microseconds": rows}
        (args.out / "launch_cost.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
