"""The sections of a run, in order of value, and how one is run: in a process of its own, with a share of the time left.

Whoever runs them is handed each section again while it gets rows, to keep them: a run that is killed has lost nothing.

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

from . import checking, gate, machine, steps, timing
from .tests import Tests

LATE = "no time left"  # of a row
OFTEN = 5  # seconds between two looks at a section's rows
WORTH = 5  # seconds below which nothing more is begun
ENOUGH = 6  # times the same error, one after the other: it will not get better, and each time costs a new process


def checks(language, tiny, **options):
    """As checking.items; each launch is waited for, so that a fault names its kernel."""
    os.environ["MINICNN_SYNC"] = "1"  # of the section's own process
    return checking.items(language, tiny, **options)


check_timed = partial(checks, "fast", sizes="timed")
SECTIONS = {  # name: (title, weight of its share of the time, function that gives the measurements)
    "machine": ("the machine", 4, machine.items),
    "check_cuda": ("CUDA C++ against the float64 reference", 20, partial(checks, "fast")),
    "check_numba": ("Numba CUDA against the float64 reference", 22, partial(checks, "plain")),
    "time_cuda": ("times of CUDA C++", 12, partial(timing.items, "fast")),
    "steps_minicnn": ("training steps of minicnn", 8, partial(steps.items, "fast")),
    "steps_torch": ("training steps of PyTorch", 16, partial(steps.items_of_torch, steps.WAYS)),
    "time_torch": ("cuBLAS and cuDNN through PyTorch", 10, timing.items_of_torch),
    "time_numba": ("times of Numba CUDA", 10, partial(timing.items, "plain")),
    "steps_numba": ("training steps of minicnn in Numba CUDA", 4, partial(steps.items, "plain")),
    "check_timed": ("CUDA C++ against the reference, sizes as timed", 8, check_timed),
    "steps_compiled": ("training steps of PyTorch, compiled", 14, partial(steps.items_of_torch, steps.COMPILED)),
    "gate": ("every .cu file compiled for this GPU", 8, gate.items),
    "tests_fast": ("the project's tests, CUDA C++", 30, Tests("fast")),
    "tests_plain": ("the project's tests, Numba CUDA", 15, Tests("plain")),
}
# benchmarks/gpu.py runs the first of these, benchmarks/first_gpu.py the second
MEASUREMENTS = [name for name in SECTIONS if name != "gate" and not name.startswith("tests")]
FIRST = ["machine", "check_cuda", "steps_minicnn", "time_cuda", "tests_fast", "gate", "steps_torch", "time_torch"]
FIRST += ["check_numba", "tests_plain", "time_numba", "steps_numba", "check_timed", "steps_compiled"]


def run_all(names, tiny, seconds, folder, watch):
    """The results of the sections of these names, in so many seconds; watch(those so far) is called every few."""
    done, end = [], time.monotonic() + seconds
    for i, name in enumerate(names):
        title, weight, _ = SECTIONS[name]
        # what the sections before did not use is shared out among those to come
        share = (end - time.monotonic()) * weight / sum(SECTIONS[n][1] for n in names[i:])
        complain(f"{title} (up to {max(0, share):.0f} s) ...")
        done.append(run_section(name, tiny, share, folder, lambda section: watch([*done, section])))
        tell(done[-1])
        watch(done)
    unfinished = [i for i, section in enumerate(done) if section["status"] == "partly" and can_go_on(names[i])]
    for place, i in enumerate(unfinished):  # time that later sections have left is for the first ones' rest
        weights = [SECTIONS[names[k]][1] for k in unfinished[place:]]
        share = (end - time.monotonic()) * weights[0] / sum(weights)
        if share < WORTH:
            break
        complain(f"the rest of: {done[i]['title']} (up to {share:.0f} s) ...")
        others = partial(_in_place_of, done, i)
        done[i] = run_section(names[i], tiny, share, folder, lambda section, o=others: watch(o(section)), done[i])
        tell(done[i])
        watch(done)
    return done


def can_go_on(name):
    """Whether a section can measure what it had no time for; pytest begins anew."""
    return not isinstance(SECTIONS[name][2], Tests)


def tell(section):
    """Say how a section has ended."""
    counted = f"{len(have_figures(section['rows']))} of {len(section['rows'])} rows, {section['seconds']:.0f} s"
    complain(f"    {section['status']}, {counted}{': ' * bool(section['reason'])}{section['reason']}")


def _in_place_of(sections, i, section):
    return [*sections[:i], section, *sections[i + 1 :]]


def have_figures(rows):
    """Those of the rows that were measured."""
    return [row for row in rows if "error_text" not in row and "skipped" not in row]


def run_section(name, tiny, seconds, folder=None, watch=lambda section: None, before=None):
    """The result of one section: {"section", "title", "status", "reason", "seconds", "rows", "clocks"}.

    folder: for what a section writes itself. watch(the result so far) is called now and then. before: the result of an
    earlier run of it, of which only what came too late is measured.
    """
    start, rows = time.monotonic(), {row["name"]: row for row in before["rows"]} if before else {}
    title, _, items = SECTIONS[name]

    def result(status, reason, clocks=None):
        seconds = time.monotonic() - start + (before["seconds"] if before else 0)
        about = {"section": name, "title": title, "status": status, "reason": reason, "seconds": seconds}
        return {**about, "rows": list(rows.values()), "clocks": clocks}

    if seconds <= 1:
        return result("skipped", LATE)
    if isinstance(items, Tests):
        return result(*items.run(tiny, start + seconds, rows, folder))
    ended = measure_all(items, tiny, start + seconds, rows, lambda: watch(result("running", "")))
    return result(*ended, machine.clocks() if rows else None)


def measure_all(items, tiny, end, rows, watch=lambda: None):
    """Fill `rows`, {name: row}, with those that are not there or came too late. Returns (status, reason). watch() is
    called every few seconds."""
    errors, looked = [], time.monotonic()
    left = None  # names of what is still to be measured; the first process knows them
    while left is None or (left and time.monotonic() < end):
        with process_of(items, tiny, end) as ask:
            begun = ask(None)
            if "names" not in begun:
                return ("skipped", begun["skipped"]) if "skipped" in begun else ("failed", begun["error_text"])
            if left is None:
                left = [name for name in begun["names"] if name not in rows or is_late(rows[name])]
                rows |= {name: {"name": name, "skipped": LATE} for name in left}
            row = {}  # a new process each time that one has failed
            while left and "error_text" not in row and time.monotonic() < end:
                name = left.pop(0)
                row = ask(name)
                rows[name] = row | {"name": name}
                errors = [*errors, row["error_text"]] if "error_text" in row else []  # one after the other
                if time.monotonic() > looked + OFTEN:
                    watch()
                    looked = time.monotonic()
        if left and len(errors) >= ENOUGH and len(set(errors[-ENOUGH:])) == 1:
            rows |= {name: {"name": name, "skipped": f"given up: {errors[-1]}"} for name in left}
            return "failed", f"the same error {ENOUGH} times: {errors[-1]}"
    late = sum(map(is_late, rows.values()))
    return ("partly", f"{LATE} for {late} rows") if late else ("done", "")


def is_late(row):
    """Whether there was no time for a row."""
    return row.get("skipped", "").startswith(LATE)


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


def attempt(function, missing=(DeviceError, MemoryError)):
    """The row that the function gives, or {"skipped": why} if something is missing, or {"error_text", "traceback"}."""
    start = time.monotonic()
    try:
        row = function()
    except missing as error:
        row = {"skipped": str(error) or type(error).__name__}
    except Exception as error:  # of any kind: it shall not cost the others
        row = {"error_text": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc(limit=-4)}
    return row | {"seconds": time.monotonic() - start}
