"""Times that all ranks take together: each begins when all are there, and the slowest one's counts."""

import time

from minicnn.distributed import world
from minicnn.emulated import emulating

BLOCKS = 5  # samples
MOST = 2000  # calls in one


def together(functions, seconds):
    """{name: [milliseconds of a call]}, of functions {name: function} in turn, A B A B; nothing of emulated GPUs.

    seconds: of all of it, about. Each sample is a block of calls, between two waits for the GPU.
    """
    calls = {name: how_many(function, seconds / BLOCKS / len(functions)) for name, function in functions.items()}
    if emulating():
        return {name: [] for name in functions}
    found = {name: [] for name in functions}
    for _ in range(BLOCKS):
        for name, function in functions.items():
            found[name].append(block(function, calls[name]))
    return found


def how_many(function, seconds):
    """How many calls fit, the same number on every rank; two are made here, and warm everything up."""
    if emulating():
        function()
        return 1
    block(function, 1)
    return max(1, min(MOST, int(1000 * seconds / block(function, 1))))


def block(function, calls):
    """Milliseconds of a call, on the slowest rank."""
    import cupy  # an optional package

    gpu = cupy.cuda.Device()
    gpu.synchronize()
    world().gather_values(None)  # all are there
    start = time.perf_counter()
    for _ in range(calls):
        function()
    gpu.synchronize()
    return max(world().gather_values(1000 * (time.perf_counter() - start) / calls))
