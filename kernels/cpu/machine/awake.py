"""Cores that stay awake from op to op.

A core without work stops, and starts again some time after a thread is woken on it: 50 microseconds where that is
quick, more in a virtual machine, whose core is lent to others meanwhile and comes back with cold caches. A training
step wakes threads five hundred times. So each core (as the system counts them: two for one with hyper-threading) has a
*keeper* (keeper.py), a thread that looks at the clock while ops follow each other, and sleeps when there was none for
20 ms. It has the lowest kind of priority there is (SCHED_IDLE): any other thread of the process, and most other
processes, put it aside at once. `MINICNN_AWAKE=0` shows what that brings: on two cores of a virtual machine, training
steps of ResNet-50 took up to 1.4 times as long without.

There are none

- on other systems than Linux;
- with fewer threads than the process has cores: a keeper might sit on one where nobody is to wake up;
- in a process that shall leave the cores to others (nice, or another scheduling policy), or may use them for a part of
  the time only: there a keeper would take from its own process's share;
- with $MINICNN_AWAKE=0, for a battery that should last.
"""

import contextlib
import os
import signal
import threading

import numpy as np

from minicnn.envvars import switch

from . import cores

QUIET = 20_000_000  # nanoseconds without work before a keeper sleeps
LONGEST = 1_000_000_000  # nanoseconds that one op may keep it awake: for ever, if Ctrl-C came before its end was said
LINUX = all(hasattr(os, name) for name in ("SCHED_IDLE", "eventfd", "sched_setaffinity"))


class Keepers:
    """A keeper for each core; ``with keepers:`` says that there is work."""

    def __init__(self, numbers):
        from . import keeper  # Numba takes a while to import

        self.work = np.zeros(2, np.int64)  # how much there is now, and how often that has changed
        self.words = memoryview(self.work)  # the same memory, which Python writes to five times as soon
        self.asleep = bytearray(b"\1" * len(numbers))  # 1: that keeper is asleep
        self.lock, self.events = threading.Lock(), []
        try:
            self.events.extend(os.eventfd(0) for _ in numbers)
            asleep = np.frombuffer(self.asleep, np.uint8)
            arguments = [
                (self.work, asleep[i : i + 1], event, os.SCHED_IDLE, QUIET, LONGEST)
                for i, event in enumerate(self.events)
            ]
            keeper.compile(*arguments[0])  # now: no thread may be at that when the process forks or ends
            for core, own in zip(numbers, arguments, strict=True):
                threading.Thread(target=_live, args=(core, keeper.keep, own), name="minicnn awake", daemon=True).start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        with self.lock:
            self.words[0] += 1
            self.words[1] += 1
            while (i := self.asleep.find(1)) >= 0:
                self.asleep[i] = 0  # before the event: the keeper sets it again
                os.eventfd_write(self.events[i], 1)

    def __exit__(self, *error):
        with self.lock:
            self.words[0] -= 1  # one op less under way
            self.words[1] += 1  # a change, from which QUIET is counted

    def close(self):
        """Give the events back: a forked process has no threads that wait for them."""
        for event in self.events:
            os.close(event)


def _live(core, keep, arguments):
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for others
    with contextlib.suppress(OSError):  # a core that has been taken from this process
        os.sched_setaffinity(0, [core])  # 0: this thread
        keep(*arguments)


_nobody = contextlib.nullcontext()
_keepers = None


def why_not(count):
    """Why a pool of `count` threads has no keepers, as text; None if it has."""
    numbers = cores.usable()
    if not LINUX:
        return "this is not Linux"
    if not switch("MINICNN_AWAKE", default=True):
        return "MINICNN_AWAKE is 0"
    if min(count, cores.quota()) < len(numbers):
        return f"{count} threads do not take up all of {len(numbers)} cores"
    try:
        if os.sched_getscheduler(0) != os.SCHED_OTHER or os.getpriority(os.PRIO_PROCESS, 0) > 0:
            return "this process shall leave the cores to others (nice)"
    except OSError as error:
        return f"the system does not say how this process shall share the cores ({error.strerror})"
    return None


def keepers(count):
    """The keepers for a pool of `count` threads, to be used in ``with``; where there are none, that does nothing."""
    global _keepers
    if why_not(count):
        return _nobody
    if _keepers is None:
        try:
            _keepers = Keepers(cores.usable())
        except (OSError, RuntimeError):  # no more threads, or open files, for this process
            _keepers = _nobody
    return _keepers


def forget():
    """A forked process has none of the threads."""
    global _keepers
    if isinstance(_keepers, Keepers):
        _keepers.close()
    _keepers = None
