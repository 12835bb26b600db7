"""The sections of a run, in order of value, and how one is run: in a process of its own, with a share of the time left.

So the memory pools of CuPy and PyTorch never meet. After a measurement that fails, a new process goes on behind it: the
old one may have died, or a GPU that has read at a wrong address answers it no more. What comes too late, fails or
cannot run leaves a row that says so.
"""

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from functools import partial

from minicnn.console import complain
from minicnn.device import DeviceError

from . import checking, machine, steps, timing

LATE = "no time left"  # of a row
check_timed = partial(checking.items, "fast", sizes="timed")
SECTIONS = {  # name: (title, weight of its share of the time, function that gives the measurements)
    "machine": ("the machine", 4, machine.items),
    "check_cuda": ("CUDA C++ against the float64 reference", 20, partial(checking.items, "fast")),
    "check_numba": ("Numba CUDA against the float64 reference", 22, partial(checking.items, "plain")),
    "time_cuda": ("times of CUDA C++", 12, partial(timing.items, "fast")),
    "steps_minicnn": ("training steps of minicnn", 8, steps.items),
    "steps_torch": ("training steps of PyTorch", 16, partial(steps.items_of_torch, steps.WAYS)),
    "time_torch": ("cuBLAS and cuDNN through PyTorch", 10, timing.items_of_torch),
    "time_numba": ("times of Numba CUDA", 10, partial(timing.items, "plain")),
    "check_timed": ("CUDA C++ against the reference, sizes as timed", 8, check_timed),
    "steps_compiled": ("training steps of PyTorch, compiled", 14, partial(steps.items_of_torch, steps.COMPILED)),
}


def run_all(names, tiny, seconds):
    """Run the sections of these names within so many seconds in all; yields the result of each."""
    end = time.monotonic() + seconds
    for i, name in enumerate(names):
        title, weight, _ = SECTIONS[name]
        # what the sections before did not use is shared out among those to come
        share = (end - time.monotonic()) * weight / sum(SECTIONS[n][1] for n in names[i:])
        complain(f"{title} (up to {max(0, share):.0f} s) ...")
        result = run_section(name, tiny, share)
        counted = f"{len(have_figures(result['rows']))} of {len(result['rows'])} rows, {result['seconds']:.0f} s"
        complain(f"    {result['status']}, {counted}{': ' * bool(result['reason'])}{result['reason']}")
        yield result


def have_figures(rows):
    """Those of the rows that were measured."""
    return [row for row in rows if "error_text" not in row and "skipped" not in row]


def run_section(name, tiny, seconds):
    """The result of one section: {"section", "title", "status", "reason", "seconds", "rows", "clocks"}."""
    start, rows = time.monotonic(), {}
    title, _, items = SECTIONS[name]
    status, reason = measure_all(items, tiny, start + seconds, rows) if seconds > 1 else ("skipped", LATE)
    about = {"section": name, "title": title, "status": status, "reason": reason, "seconds": time.monotonic() - start}
    return {**about, "rows": list(rows.values()), "clocks": machine.clocks() if rows else None}


def measure_all(items, tiny, end, rows):
    """Fill `rows`, {name: row}. Returns (status, reason)."""
    left = None  # names of what is still to be measured; the first process knows them
    while left is None or (left and time.monotonic() < end):
        with process_of(items, tiny, end) as ask:
            begun = ask(None)
            if "names" not in begun:
                return ("skipped", begun["skipped"]) if "skipped" in begun else ("failed", begun["error_text"])
            if left is None:
                left = begun["names"]
                rows |= {name: {"name": name, "skipped": LATE} for name in left}
            row = {}
            while left and "error_text" not in row and time.monotonic() < end:
                name = left.pop(0)
                row = ask(name)
                rows[name] = row | {"name": name}
    late = sum(row.get("skipped", "").startswith(LATE) for row in rows.values())
    return ("partly", f"{LATE} for {late} rows") if late else ("done", "")


@contextlib.contextmanager
def process_of(items, tiny, end):
    """Gives ask(name), which returns the row of that measurement; ask(None), the first, {"names": [of all]}."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(there, items, tiny))
    process.start()
    there.close()  # it is open in the process alone: if that dies, `here` finds its end

    def ask(name):
        try:
            here.send(name)
            stopped = {"skipped": f"{LATE}: stopped in the middle of this"}
            return here.recv() if here.poll(max(0, end - time.monotonic())) else stopped
        except (EOFError, ConnectionError):
            return {"error_text": "its process died"}

    try:
        yield ask
    finally:  # the process is killed with all that it has started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()  # where it had no group yet
        process.join()


def serve(there, items, tiny):
    """In the process: answer what is asked."""
    os.setsid()  # it leads what it starts
    os.dup2(2, 1)  # stdout is for the table alone
    begun = attempt(lambda: {"items": items(tiny)}, missing=(DeviceError, ImportError))
    functions = dict(begun.pop("items", ()))
    there.recv()
    there.send({"names": list(functions)} if functions else begun)
    while True:
        there.send(attempt(functions[there.recv()]))


def attempt(function, missing=DeviceError):
    """The row that the function gives, or {"skipped": why} if something is missing, or {"error_text", "traceback"}."""
    start = time.monotonic()
    try:
        row = function()
    except missing as error:
        row = {"skipped": str(error)}
    except Exception as error:  # of any kind: it shall not cost the others
        row = {"error_text": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc(limit=-4)}
    return row | {"seconds": time.monotonic() - start}
