"""A step that takes too long ends the job, with the line where it hangs (--step-timeout).

    with Watchdog(60, world()) as dog:  # seconds; 0: none
        for epoch, batch in ...:
            dog.step(f"epoch {epoch}, batch {batch}")  # this one must be over 60 s from now, or the next one begin
            ...

Where one rank hangs, the others wait for it inside a collective call, and their steps take too long as well: they are
not to blame. So a thread of each rank looks where the rank's program stands and tells the other ranks. Whoever is not
waiting speaks, the lowest such rank first. If all that answer are waiting, either they wait for different things, and
one of them lists these, or they wait for ranks that do not answer: those were stopped, or are gone.

That thread needs the interpreter's lock. Where a library hangs and keeps it, faulthandler, which does not need it,
shows the lines of all of the rank's threads and ends it a second later, and with it the job.
"""

import contextlib
import faulthandler
import linecache
import os
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from .. import console
from .ending import listed, named
from .ranks import World

HERE = str(Path(__file__).parent) + os.sep
CARRIERS = tuple(HERE + name for name in ("mpi.py", "nccl.py", "emulated_nccl.py"))  # in which ranks wait
PACKAGE = str(Path(__file__).parents[1]) + os.sep  # which may be installed among the libraries
LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
CHANNEL = 1  # of World.meet; 0 is ending.py's
LOOK, LISTEN, NET = 0.4, 1.5, 1.0  # seconds after the timeout: others hang, too; others wait, too; nobody is awake
SHOWN = 4  # ranks whose lines a message has


class Place(NamedTuple):
    """Where a rank's program stands."""

    waits: bool  # for other ranks, or for its GPU, which may
    text: str


class Watchdog:
    """``with Watchdog(seconds, world) as dog:`` the thread that enters the block calls ``dog.step`` again and again.

    seconds: how long a step may take, compiling and reading the first pictures included; 0: there is no limit
    """

    def __init__(self, seconds: float, world: World) -> None:
        self.seconds, self.world = seconds, world
        self.doing, self.deadline = "the first step", float("inf")
        self.over = threading.Event()  # set outside of the block
        self.over.set()

    def __enter__(self) -> "Watchdog":
        if self.seconds:
            self.watched = threading.get_ident()
            self.over.clear()
            self.step(self.doing)
            self.thread = threading.Thread(target=self._watch, name="minicnn watchdog", daemon=True)
            self.thread.start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if not self.over.is_set():
            self.over.set()
            self.thread.join()
            faulthandler.cancel_dump_traceback_later()

    def step(self, doing: str) -> None:
        """The step before is over, and one begins that is called `doing`. Outside of the block, nothing happens."""
        if not self.over.is_set():
            self.doing, self.deadline = doing, time.monotonic() + self.seconds
            _net(self.seconds + NET)

    def _watch(self):
        while (left := self.deadline - time.monotonic()) > 0:
            if self.over.wait(left):
                return
        _net(LISTEN + 2 * NET)  # this thread is awake: it says more than faulthandler
        doing = self.doing  # as it is now: that step may still come to its end
        place = place_of(sys._current_frames().get(self.watched))
        places = self.world.meet(place, LISTEN if place.waits else LOOK, CHANNEL)
        if self.over.is_set():  # just in time
            return
        hanging = [rank for rank in places if not places[rank].waits]
        if self.world.rank == (hanging or list(places))[0]:
            console.report(self._message(doing, place, places))
            self.world.abort(1)
        time.sleep(NET)  # for the rank that speaks, and ends this one
        self.world.abort(1)

    def _message(self, doing, place, places):
        one = f"error: {doing} takes longer than {self.seconds:g} s"
        if self.world.size == 1:
            return f"{one}: it hangs {place.text}"
        if not place.waits:
            return f"{one}: {named(self.world)} hangs {place.text}"
        absent = [rank for rank in range(self.world.size) if rank not in places]
        if absent:
            why = f"{listed(absent)} of {self.world.size} gave no answer: stopped, or gone"
            return f"{one}: {why}; {named(self.world)} waits {place.text}"
        lines = [f"rank {rank} {places[rank].text}" for rank in list(places)[:SHOWN]]
        return f"{one}: all {self.world.size} ranks wait, and not for the same: " + "; ".join(lines)


def place_of(frame: FrameType | None) -> Place:
    """Where this frame, the innermost of a thread, stands: the line of the program, not of Python's own libraries."""
    while frame and frame.f_back and _is_library(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return Place(False, "in a thread that has ended")
    waits, inside = False, ""
    if frame.f_code.co_filename in CARRIERS and frame.f_code.co_name != "on_rank_0":  # which calls anything
        waits, inside = True, f"in {frame.f_code.co_qualname}, called "
        while frame.f_back and (frame.f_code.co_filename.startswith(HERE) or _is_library(frame.f_code.co_filename)):
            frame = frame.f_back
    elif frame.f_code.co_name == "copy_to_host":  # what the GPU is busy with may be a sum over ranks
        waits, inside = True, "for the GPU "
    file, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(file, line).strip()
    return Place(waits, f"{inside}at {file}, line {line}, in {frame.f_code.co_qualname}{source and ': '}{source}")


def _is_library(file):
    return file.startswith((*LIBRARIES, "<frozen ")) and not file.startswith(PACKAGE)


def _net(seconds):
    with contextlib.suppress(OSError):  # where there is no stderr to write to
        faulthandler.dump_traceback_later(seconds, exit=True, file=console.stderr.fileno())
