"""Times on a GPU, by CUDA events: CuPy's or PyTorch's.

Before each sample a large piece of memory is written. That empties the L2 cache of what the sample will read; and as it
takes the GPU a while, everything to be timed is waiting in the queue when it is done: what is timed is the GPU and not
the launching. The launching is reported beside it (`launch_us`); where it took longer than the writing, `covered` is
False, and the time is an upper bound.
"""

import functools
import itertools
import math
import statistics
import time
from typing import NamedTuple

MOST_COVERS = 40
WARM_UP, FEWEST, MOST = 3, 7, 40  # calls before, and samples


class Sampled(NamedTuple):
    """Raw times of one function."""

    ms: list
    launch_us: float | None = None
    covered: bool | None = None


class Clock:
    """Times by the events of a library (libraries.py)."""

    def __init__(self, events):
        self.events = events

    @functools.cached_property
    def cover_ms(self):
        """How long it takes to write the cover once."""
        for _ in range(2):  # the first is for warming up
            start = self.record()
            for _ in range(4):
                self.events.cover()
            (whole_ms,) = self.between([(start, self.record())])
        return whole_ms / 4

    def samples(self, function, seconds):
        """`function` timed again and again, for about so many seconds in all."""
        self.warm_up(function)
        launch_ms, whole_ms = (statistics.median(each) for each in zip(*map(self.once, [function] * 3), strict=True))
        times = covers(launch_ms, self.cover_ms)
        marks = []
        for _ in range(how_many(seconds, whole_ms + times * self.cover_ms)):
            for _ in range(times):
                self.events.cover()
            start = self.record()
            function()
            marks.append((start, self.record()))
        return Sampled(self.between(marks), 1e3 * launch_ms, times * self.cover_ms > launch_ms)

    def steps(self, step, seconds):
        """The time from the end of one call of `step` to the end of the next, launching included, as in training."""
        self.warm_up(step)
        count = how_many(seconds, self.once(step)[1])
        marks = [self.record()]
        for _ in range(count):
            step()
            marks.append(self.record())
        return Sampled(self.between(itertools.pairwise(marks)))

    def record(self):
        event = self.events.event()
        event.record()
        return event

    def between(self, marks):
        """Milliseconds of each pair of events."""
        self.events.synchronize()
        return [self.events.elapsed(*pair) for pair in marks]

    def warm_up(self, function):
        for _ in range(WARM_UP):
            function()
        self.events.synchronize()

    def once(self, function):
        """Milliseconds until it is launched, and until it is done."""
        start = time.perf_counter()
        function()
        launched = time.perf_counter()
        self.events.synchronize()
        return 1e3 * (launched - start), 1e3 * (time.perf_counter() - start)


class NoClock:
    """Runs everything once and times nothing: for the emulator, whose times say nothing about a GPU."""

    def samples(self, function, seconds):
        function()
        return Sampled([])

    steps = samples


def covers(host_ms, cover_ms):
    """How often to write the cover: for twice as long as the processor takes to launch what is to be timed."""
    return max(1, min(MOST_COVERS, math.ceil(2 * host_ms / cover_ms)))


def how_many(seconds, each_ms):
    """How many samples fit."""
    return max(FEWEST, min(MOST, int(1000 * seconds / each_ms)))
