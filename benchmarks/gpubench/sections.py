"""The parts of a run, in order of value, and how one is run: in a process of its own, with a share of the time left.

So the memory pools of CuPy and PyTorch never meet, and a kernel that kills its process costs one measurement: the
section goes on behind it in a new one. A row of results is sent as soon as there is one; what comes too late, fails
or cannot run leaves a row that says so.
"""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from minicnn.console import complain
from minicnn.device import DeviceError
from minicnn.emulated import emulating

from . import checking, machine, steps, timing
from .libraries import Unavailable

GRACE = 10  # seconds that a section may overrun, for the measurement in progress
LATE = "no time left"  # of a row
SINGLE = ("float32",)


class Section(NamedTuple):
    """items(tiny, *given) gives a list of (name, function that measures it and returns a dict)."""

    title: str
    weight: float  # of its share of the time
    items: Callable
    given: tuple = ()


SECTIONS = {
    "machine": Section("the machine", 4, machine.items),
    "check_cuda": Section("CUDA C++ against the float64 reference", 20, checking.items, ("fast",)),
    "check_numba": Section("Numba CUDA against the float64 reference", 22, checking.items, ("plain",)),
    "time_cuda": Section("times of CUDA C++", 12, timing.items, ("fast",)),
    "steps_minicnn": Section("training steps of minicnn", 8, steps.items),
    "steps_torch": Section("training steps of PyTorch", 16, steps.items_of_torch, (steps.WAYS,)),
    "time_torch": Section("cuBLAS and cuDNN through PyTorch", 10, timing.items_of_torch),
    "time_numba": Section("times of Numba CUDA", 10, timing.items, ("plain",)),
    "check_timed": Section(
        "CUDA C++ against the reference, sizes as timed", 8, checking.items, ("fast", "timed", SINGLE)
    ),
    "steps_compiled": Section("training steps of PyTorch, compiled", 14, steps.items_of_torch, (steps.COMPILED,)),
}


def run_all(names, tiny, seconds):
    """Run the sections of these names within so many seconds in all; yields the result of each.

    A result is a dict {"section", "title", "status", "reason", "seconds", "rows", "clocks"}.
    """
    end = time.monotonic() + seconds
    for i, name in enumerate(names):
        left = end - time.monotonic()
        # what the sections before did not use is shared out among those to come
        share = left * SECTIONS[name].weight / sum(SECTIONS[n].weight for n in names[i:])
        complain(f"{SECTIONS[name].title} (up to {max(0, share):.0f} s) ...")
        result = run_section(name, tiny, share, min(share + GRACE, left))
        counted = f"{len(have_figures(result['rows']))} of {len(result['rows'])} rows, {result['seconds']:.0f} s"
        complain(f"    {result['status']}, {counted}{': ' * bool(result['reason'])}{result['reason']}")
        yield result


def have_figures(rows):
    """Those of the rows that were measured."""
    return [row for row in rows if "error_text" not in row and "skipped" not in row]


def run_section(name, tiny, seconds, hard_limit):
    """One section, in a new process after each measurement that its process died of."""
    start, rows = time.monotonic(), []
    ending = {"status": "skipped", "reason": LATE}
    if hard_limit > 1:
        ending = measure_each(SECTIONS[name], tiny, start + seconds, start + hard_limit, rows)
    about = {"section": name, "title": SECTIONS[name].title, **ending, "seconds": time.monotonic() - start}
    return {**about, "rows": rows, "clocks": machine.clocks() if rows else None}


def measure_each(section, tiny, end, hard_end, rows):
    """Append a row for each measurement. Returns how it ended: {"status", "reason"}."""
    try:
        with contextlib.closing(Worker(hard_end)) as worker:
            ending = worker.call(begin, section, tiny)
            for number, name in enumerate(ending.pop("names", ())):
                rows.append({"name": name, "skipped": LATE})
                if time.monotonic() <= end:
                    rows[-1] = {"name": name, "error_text": "its process died in the middle of this"}
                    with contextlib.suppress(BrokenProcessPool):
                        rows[-1] = worker.call(measure, section, tiny, number) | {"name": name}
                    if "error_text" in rows[-1] and not rows[-1].pop("gpu_answers", False):
                        worker.close()
    except BrokenProcessPool:
        return {"status": "failed", "reason": "its process died before the first measurement"}
    except TimeoutError:
        over = "stopped when its time was over"
        if rows:
            rows[-1] = {"name": rows[-1]["name"], "skipped": f"{over}, in the middle of this"}
        return {"status": "partly", "reason": over}
    late = sum(row.get("skipped") == LATE for row in rows)
    return {"status": "partly", "reason": f"no time left for {late} rows"} if late else ending


class Worker:
    """Calls functions in a process until a time; it ends with all that it started."""

    def __init__(self, end):
        self.end, self.pool, self.process = end, None, None

    def call(self, function, *given):
        """Its result. TimeoutError when the time is over; BrokenProcessPool if the process died of it."""
        if self.pool is None:
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=alone)
            self.process = self.pool.submit(os.getpid).result()
        return self.pool.submit(function, *given).result(max(0.1, self.end - time.monotonic()))

    def close(self):
        """End the process; the next call begins another one."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, signal.SIGKILL)
        if self.pool is not None:
            self.pool.shutdown()
        self.pool = self.process = None


# In the process of a section


def alone():
    """Makes the process the leader of what it starts; stdout is for the table alone."""
    os.setsid()
    os.dup2(2, 1)


@functools.cache
def items(section, tiny):
    return section.items(tiny, *section.given)


def begin(section, tiny):
    """{"status", "reason"}, and the "names" of the measurements unless the section cannot run."""
    try:
        return {"status": "done", "reason": "", "names": [name for name, _ in items(section, tiny)]}
    except (DeviceError, Unavailable, ImportError) as error:
        return {"status": "skipped", "reason": str(error)}
    except Exception as error:  # of any kind: CuPy's and PyTorch's own
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}


def measure(section, tiny, number):
    """The row of one measurement."""
    start = time.monotonic()
    try:
        row = items(section, tiny)[number][1]()
    except DeviceError as error:
        row = {"skipped": str(error)}
    except Exception as error:  # of any kind: it shall not cost the others
        row = {"error_text": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc(limit=-4)}
        row["gpu_answers"] = gpu_answers()
    return row | {"seconds": time.monotonic() - start}


def gpu_answers():
    """Whether the GPU still works in this process: after an access to a wrong address, no call does."""
    cupy, torch = sys.modules.get("cupy"), sys.modules.get("torch")
    try:
        if cupy is not None and not emulating():
            cupy.cuda.Device().synchronize()
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except Exception:  # of any kind: each library has its own
        return False
    return True
