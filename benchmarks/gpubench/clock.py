"""Times on a GPU by CUDA events, for our kernels and for PyTorch; or why one of the two cannot be measured here.

Before each sample a large piece of memory is written, the cover. That empties the L2 cache of what the sample will
read; and as it takes the GPU a while, everything to be timed is waiting in the queue when it is done: what is timed is
the GPU and not the launching. The launching is reported beside it (`launch_us`); where it took longer than the writing,
`covered` is False, and the time is an upper bound.
"""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minicnn.device import DeviceError, implementation, to_device
from minicnn.emulated import emulating
from minicnn.ops.activation import relu_forward

COVER_BYTES = 1 << 28  # more than twice any GPU's L2 cache
MOST_COVERS = 160
WARM_UP, FEWEST, MOST = 1, 7, 40  # calls before all others, and samples


@dataclass
class Clock:
    """Times by events of CUDA: four functions of a library, which does it all on its current stream."""

    event: Callable  # () -> one that can be recorded
    elapsed: Callable  # (start, stop) -> milliseconds
    synchronize: Callable
    cover: Callable  # writes much memory, which is taken when it is first called

    def samples(self, function, seconds):
        """`function` behind covers, in about so many seconds: {"ms": [of each call], "launch_us", "covered"}."""
        launch_ms, whole_ms = self.warm_up(function)
        times = covers(launch_ms, self.cover_ms)
        cover_ms = times * self.cover_ms
        ms = self.repeat(function, how_many(seconds, whole_ms + cover_ms), times)
        return {"ms": ms, "launch_us": 1e3 * launch_ms, "covered": cover_ms > launch_ms}

    def steps(self, step, seconds):
        """The same of steps one after the other, launching included, as in training."""
        _, whole_ms = self.warm_up(step)
        return {"ms": self.repeat(step, how_many(seconds, whole_ms)), "launch_us": None, "covered": None}

    @functools.cached_property
    def cover_ms(self):
        """How long it takes to write the cover once."""
        return self.repeat(self.cover, 2, times=4)[-1]  # the first is for warming up

    def repeat(self, function, count, times=0):
        """Milliseconds of each of so many calls, with so many covers before each."""
        marks = []
        for _ in range(count):
            for _ in range(times):
                self.cover()
            start, stop = self.event(), self.event()
            start.record()
            function()
            stop.record()
            marks.append((start, stop))
        self.synchronize()
        return [self.elapsed(*pair) for pair in marks]

    def warm_up(self, function):
        """Milliseconds until a call is launched, and until it is done, by the processor's clock."""
        found = []
        for _ in range(WARM_UP + 3):
            start = time.perf_counter()
            function()
            launched = time.perf_counter()
            self.synchronize()
            found.append((launched - start, time.perf_counter() - start))
        return (1e3 * np.median(found[WARM_UP:], axis=0)).tolist()


class NoClock:
    """Runs everything once and times nothing: for the emulator, whose times say nothing about a GPU."""

    def samples(self, function, seconds):
        function()
        return {"ms": [], "launch_us": None, "covered": None}

    steps = samples


def covers(launch_ms, cover_ms):
    """How often to write the cover: for twice as long as the processor takes to launch what is to be timed."""
    return max(1, min(MOST_COVERS, math.ceil(2 * launch_ms / cover_ms)))


def how_many(seconds, each_ms):
    """How many samples fit."""
    return max(FEWEST, min(MOST, int(1000 * seconds / each_ms)))


def our_kernels(language):
    """Clock for "fast" (CUDA C++) or "plain" (Numba CUDA); DeviceError without a GPU, ImportError without packages."""
    to_device(np.zeros(1, np.float32), "cuda")
    implementation(relu_forward, "cuda", language)
    if emulating():
        return NoClock()
    import cupy  # an optional package

    cuda = cupy.cuda
    memory = functools.cache(lambda: cupy.empty(COVER_BYTES, cupy.uint8))
    cover = lambda: memory().data.memset_async(1, COVER_BYTES)  # noqa: E731
    return Clock(cuda.Event, cuda.get_elapsed_time, cuda.Device().synchronize, cover)


def pytorch():
    """(torch, the device for it, a clock); it tries cuDNN's algorithms first. ImportError or DeviceError without it."""
    import torch  # an optional package

    torch.backends.cudnn.benchmark = True
    if emulating():
        torch.set_num_threads(1)  # on a few numbers, threads only wait for one another
        return torch, "cpu", NoClock()
    cuda = torch.cuda
    if not cuda.is_available():
        raise DeviceError(f"PyTorch {torch.__version__} finds no GPU")
    memory = functools.cache(lambda: torch.empty(COVER_BYTES, dtype=torch.uint8, device="cuda"))
    event = functools.partial(cuda.Event, enable_timing=True)
    return torch, "cuda", Clock(event, cuda.Event.elapsed_time, cuda.synchronize, lambda: memory().fill_(1))
