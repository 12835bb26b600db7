"""Cores that stay awake from op to op.

A core without work stops, and starts again some time after a thread is woken on it: 50 microseconds where that is
quick, more in a virtual machine, whose core is lent to others meanwhile and comes back with cold caches. A training
step wakes threads five hundred times. So each core has a *keeper*, a thread that looks at the clock while ops follow
each other, and sleeps when there was none for 20 ms. It has the lowest kind of priority there is (SCHED_IDLE): it runs
where nobody else wants to, and is put aside at once when somebody does. On two cores of a virtual machine that brought
a training step of ResNet-50 from 1.4 to 1.0 seconds.

A keeper must never hold the interpreter's lock: it would be put aside with it, and everybody would wait. So all it does
is in one compiled function that does not return, and it sleeps in the system's read() of an event.

Only on Linux, and for a pool of as many threads as the process may use cores: with fewer, a keeper might sit on a core
where nobody is to wake up. $MINICNN_AWAKE=0 means none, for a battery that should last.
"""

import contextlib
import os
import threading
import time

import numpy as np
from numba import types

from .jit import jit

QUIET = 20_000_000  # nanoseconds
LINUX = all(hasattr(os, name) for name in ("SCHED_IDLE", "eventfd", "sched_setaffinity"))

_clock_gettime = types.ExternalFunction("clock_gettime", types.intc(types.intc, types.voidptr))
_read = types.ExternalFunction("read", types.intp(types.intc, types.voidptr, types.uintp))
_sched_setscheduler = types.ExternalFunction("sched_setscheduler", types.intc(types.intc, types.intc, types.voidptr))


class Keepers:
    """A keeper for each core; ``with keepers:`` says that there is work."""

    def __init__(self, cores):
        self.work = np.zeros(2, np.int64)  # how much there is now, and how much there was ever
        self.asleep = bytearray(b"\1" * len(cores))
        self.events = [os.eventfd(0) for _ in cores]
        self.lock = threading.Lock()
        for i, core in enumerate(cores):
            threading.Thread(target=self._start, args=(i, core), name="minicnn awake", daemon=True).start()

    def __enter__(self):
        with self.lock:
            self.work += 1
            while (i := self.asleep.find(1)) >= 0:
                self.asleep[i] = 0
                os.eventfd_write(self.events[i], 1)

    def __exit__(self, *error):
        with self.lock:
            self.work[0] -= 1

    def _start(self, i, core):
        with contextlib.suppress(OSError):  # a core that has been taken from this process
            os.sched_setaffinity(0, [core])  # 0: this thread
            asleep = np.frombuffer(self.asleep, np.uint8)[i : i + 1]
            _keep(self.work, asleep, self.events[i], os.SCHED_IDLE, time.CLOCK_MONOTONIC, QUIET)


@jit
def _keep(work, asleep, event, lowest, clock, quiet):
    number, time = np.zeros(1, np.int64), np.zeros(2, np.int64)
    if _sched_setscheduler(0, lowest, number.ctypes) != 0:
        return  # it is not allowed to
    while _read(event, number.ctypes, 8) != 0:  # it never is 0
        now, last, ever = 0, 0, -1
        while now - last <= quiet:
            _clock_gettime(clock, time.ctypes)
            now = time[0] * 1_000_000_000 + time[1]
            if work[0] > 0 or work[1] != ever:
                last, ever = now, work[1]
        asleep[0] = 1


_keepers = None


def keepers(count):
    """The keepers for a pool of `count` threads, to be used in ``with``; where there are none, that does nothing."""
    global _keepers
    if not LINUX or os.environ.get("MINICNN_AWAKE") == "0":
        return contextlib.nullcontext()
    cores = sorted(os.sched_getaffinity(0))
    if count < len(cores):
        return contextlib.nullcontext()
    if _keepers is None:
        _keepers = Keepers(cores)
    return _keepers


def forget():
    """A forked process has none of the threads."""
    global _keepers
    _keepers = None
