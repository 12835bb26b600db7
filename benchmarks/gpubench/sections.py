"""The parts of a run, in order of value, and how one is run: in a process of its own, with a share of the time left.

So the memory pools of CuPy and PyTorch never meet, and a kernel that kills its process costs one measurement: the
section goes on behind it in a new one. A row of results is written as soon as there is one; what comes too late, fails
or cannot run leaves a row that says so.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from minicnn.console import complain
from minicnn.device import DeviceError

from . import checking, machine, steps, steps_torch, timing, timing_torch
from .figures import shares_of_time
from .settings import Unavailable

GRACE = 10  # seconds that a section may overrun, for the measurement in progress
FATAL = 3  # exit code: the GPU answers no more in this process


class Section(NamedTuple):
    """items(settings) gives a list of (name, function that measures it and returns a dict)."""

    title: str
    weight: float  # of its share of the time
    items: Callable


SECTIONS = {
    "machine": Section("the machine", 4, machine.items),
    "check_cuda": Section("CUDA C++ against the float64 reference", 20, lambda s: checking.items(s, "fast")),
    "check_numba": Section("Numba CUDA against the float64 reference", 22, lambda s: checking.items(s, "plain")),
    "time_cuda": Section("times of CUDA C++", 12, lambda s: timing.items(s, "fast")),
    "steps_minicnn": Section("training steps of minicnn", 8, steps.items),
    "steps_torch": Section("training steps of PyTorch", 16, lambda s: steps_torch.items(s, compiled=False)),
    "time_torch": Section("cuBLAS and cuDNN through PyTorch", 10, timing_torch.items),
    "time_numba": Section("times of Numba CUDA", 10, lambda s: timing.items(s, "plain")),
    "check_timed": Section("CUDA C++ against the reference, sizes as timed", 8, checking.items_of_timed),
    "steps_compiled": Section("training steps of PyTorch, compiled", 14, lambda s: steps_torch.items(s, compiled=True)),
}


def run_all(names, settings, seconds, program, after_each):
    """Run the sections of these names within so many seconds in all, and return their results.

    A result is a dict {"section", "title", "status", "reason", "seconds", "rows", "clocks"}; after each section
    `after_each` is called with the list of those so far.
    """
    end, results = time.monotonic() + seconds, []
    for i, name in enumerate(names):
        left = end - time.monotonic()
        share = shares_of_time(left, [SECTIONS[n].weight for n in names[i:]])
        complain(f"{SECTIONS[name].title} (up to {max(0, share):.0f} s) ...")
        results.append(run_section(name, settings, share, min(share + GRACE, left), program))
        complain(f"    {describe(results[-1])}")
        after_each(results)
    return results


def describe(result):
    """One line."""
    rows = [row for row in result["rows"] if "error_text" not in row and "skipped" not in row]
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['status']}, {len(rows)} of {len(result['rows'])} rows, {result['seconds']:.0f} s{reason}"


def run_section(name, settings, seconds, hard_limit, program):
    """One section in as many processes as it takes; `program` is the command that calls `main_of_process`."""
    start, lines = time.monotonic(), []
    status, reason = "skipped", "no time left"
    while hard_limit - (time.monotonic() - start) > 1:
        used = time.monotonic() - start
        arguments = ["--section", name, "--skip", str(rows_in(lines)), "--seconds", str(max(0.0, seconds - used))]
        code, new = run_process([*program, *arguments, *["--tiny"] * settings.tiny], hard_limit - used)
        lines += new
        status, reason = ending(code, lines)
        if code is None and lines and "begin" in lines[-1]:
            lines.append({"name": lines[-1]["begin"], "skipped": f"{reason}, in the middle of this"})
        if status != "failed" or not any("begin" in line for line in new):
            break
    about = {"section": name, "title": SECTIONS[name].title, "status": status, "reason": reason}
    return {**about, "seconds": time.monotonic() - start, **sorted_out(lines)}


def run_process(command, seconds):
    """(its exit code, None if it was killed for time; the lines that it wrote, parsed). Nothing of it lives on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        process = subprocess.Popen([*command, "--rows", str(path)], stdout=sys.stderr, start_new_session=True)
        try:
            code = process.wait(max(0.1, seconds))
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with_children(process, signal.SIGKILL)
        lines = path.read_text().splitlines() if path.exists() else []
        return code, [json.loads(line) for line in lines if line.endswith("}")]


def with_children(process, number):
    """Send a signal to a process that leads a session of its own, and to what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
    process.wait()


def rows_in(lines):
    """How many measurements have been begun."""
    return sum("begin" in line for line in lines)


def ending(code, lines):
    """(status, reason) of a section, by its last process's exit code and what it wrote."""
    reasons = [line["unavailable"] for line in lines if "unavailable" in line]
    if reasons:
        return "skipped", reasons[0]
    if code is None:
        return "partly", "stopped when its time was over"
    if code == 0:
        late = sum(line.get("skipped") == "no time left" for line in lines)
        return ("partly", f"no time left for {late} rows") if late else ("done", "")
    if "broken" in (lines[-1] if lines else {}):
        return "failed", lines[-1]["broken"]
    return "failed", f"its process ended with {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"


def sorted_out(lines):
    """{"rows", "clocks"}: every measurement that was begun has a row, also one that its process died of."""
    rows, clocks = [], None
    for i, line in enumerate(lines):
        clocks = line.get("clocks", clocks)
        if "begin" in line and not (i + 1 < len(lines) and lines[i + 1].get("name") == line["begin"]):
            rows.append({"name": line["begin"], "error_text": "its process died in the middle of this"})
        elif "name" in line:
            rows.append(line)
    return {"rows": rows, "clocks": clocks}


# In the process of a section


def main_of_process(name, settings, skip, seconds, path):
    """Measure what the section has, from number `skip` on, into the file `path`. Returns the exit code."""
    end = time.monotonic() + seconds
    with Path(path).open("a", encoding="utf-8") as file:

        def write(line):
            file.write(json.dumps(line) + "\n")
            file.flush()

        try:
            items = SECTIONS[name].items(settings)
        except (DeviceError, Unavailable, ImportError) as error:
            write({"unavailable": str(error)})
            return 0
        except Exception as error:  # of any kind: CuPy's and PyTorch's own
            write({"broken": f"{type(error).__name__}: {error}"})
            return 1
        for item, function in items[skip:]:
            write({"begin": item})
            if time.monotonic() > end:
                write({"name": item, "skipped": "no time left"})
                continue
            start = time.monotonic()
            try:
                row = function()
            except Exception as error:  # of any kind: it shall not cost the others
                row = {"error_text": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc(limit=-4)}
                if isinstance(error, DeviceError):
                    row = {"skipped": str(error)}
            write({**row, "name": item, "seconds": time.monotonic() - start})
            if "error_text" in row and not gpu_answers(settings):
                return FATAL
        write({"clocks": machine.clocks()})
    return 0


def gpu_answers(settings):
    """Whether the GPU still works in this process: after an access to a wrong address, no call does."""
    if settings.emulated:
        return True
    cupy, torch = sys.modules.get("cupy"), sys.modules.get("torch")
    try:
        if cupy is not None:
            cupy.cuda.Device().synchronize()
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except Exception:  # of any kind: each library has its own
        return False
    return True
