"""Times on a GPU, by CUDA events: CuPy's or PyTorch's.

Before each sample a large piece of memory is written. That empties the L2 cache of what the sample will read; and as it
takes the GPU a while, everything to be timed is waiting in the queue when it is done: what is timed is the GPU and not
the launching. The launching is reported beside it (`launch_us`); where it took longer than the writing, `covered` is
False, and the time is an upper bound.
"""

import functools
import itertools
import statistics
import time
from typing import NamedTuple

from .figures import covers, how_many

COVER_BYTES, MOST_COVERS = 1 << 30, 40
WARM_UP, FEWEST, MOST = 3, 7, 40  # calls before, and samples


class Sampled(NamedTuple):
    """Raw times of one function."""

    ms: list
    launch_us: float | None = None
    covered: bool | None = None


class Clock:
    """Times by the events of a library: a CupyEvents or a TorchEvents."""

    def __init__(self, events):
        self.events = events

    @functools.cached_property
    def cover_ms(self):
        """How long it takes to write the cover once."""
        events = self.events
        for _ in range(2):  # the first is for warming up
            start = events.record()
            for _ in range(4):
                events.cover()
            stop = events.record()
            events.synchronize()
        return events.elapsed(start, stop) / 4

    def samples(self, function, seconds):
        """`function` timed again and again, for about so many seconds in all."""
        events = self.events
        for _ in range(WARM_UP):
            function()
        events.synchronize()
        launch_ms, whole_ms = (statistics.median(each) for each in zip(*map(self.once, [function] * 3), strict=True))
        times = covers(launch_ms, self.cover_ms, MOST_COVERS)
        marks = []
        for _ in range(how_many(seconds, whole_ms + times * self.cover_ms, FEWEST, MOST)):
            for _ in range(times):
                events.cover()
            start = events.record()
            function()
            marks.append((start, events.record()))
        events.synchronize()
        ms = [events.elapsed(*pair) for pair in marks]
        return Sampled(ms, 1e3 * launch_ms, times * self.cover_ms > launch_ms)

    def once(self, function):
        """Milliseconds until it is launched, and until it is done."""
        start = time.perf_counter()
        function()
        launched = time.perf_counter()
        self.events.synchronize()
        return 1e3 * (launched - start), 1e3 * (time.perf_counter() - start)

    def steps(self, step, seconds):
        """The time from the end of one call of `step` to the end of the next, launching included, as in training."""
        events = self.events
        for _ in range(WARM_UP):
            step()
        events.synchronize()
        count = how_many(seconds, self.once(step)[1], FEWEST, MOST)
        marks = [events.record()]
        for _ in range(count):
            step()
            marks.append(events.record())
        events.synchronize()
        return Sampled([events.elapsed(*pair) for pair in itertools.pairwise(marks)])


class NoClock:
    """Runs everything once and times nothing: for the emulator, whose times say nothing about a GPU."""

    def samples(self, function, seconds):
        function()
        return Sampled([])

    steps = samples


class CupyEvents:
    """On CuPy's current stream."""

    def __init__(self):
        import cupy  # an optional package

        self.cupy, self.cuda = cupy, cupy.cuda

    @functools.cached_property
    def memory(self):
        return self.cupy.empty(min(COVER_BYTES, self.cuda.Device().mem_info[0] // 8), self.cupy.uint8)

    def cover(self):
        self.memory.data.memset_async(1, self.memory.nbytes)

    def record(self):
        event = self.cuda.Event()
        event.record()
        return event

    def elapsed(self, start, stop):
        """Milliseconds."""
        return self.cuda.get_elapsed_time(start, stop)

    def synchronize(self):
        self.cuda.Device().synchronize()


class TorchEvents:
    """On PyTorch's current stream."""

    def __init__(self):
        import torch  # an optional package

        self.torch = torch

    @functools.cached_property
    def memory(self):
        size = min(COVER_BYTES, self.torch.cuda.mem_get_info()[0] // 8)
        return self.torch.empty(size, dtype=self.torch.uint8, device="cuda")

    def cover(self):
        self.memory.fill_(1)

    def record(self):
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def elapsed(self, start, stop):
        """Milliseconds."""
        return start.elapsed_time(stop)

    def synchronize(self):
        self.torch.cuda.synchronize()
