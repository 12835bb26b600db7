"""The project's own tests on the GPU, by ``pytest --gpu``: one tier's, in a process of their own.

After a fault a GPU answers the process no more: pytest ends there (exit code 3, tests/support/real_gpu.py), and is
started again behind the file that it happened in.
"""

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from minicnn.emulated import emulating

ROOT = Path(__file__).parents[2]
NEEDED = "pytest", "hypothesis"
FAULT = 3  # pytest's exit code
ROOMS = "ops", "kernels", "engine", "optim", "models/test_ssd.py"
SELECT = {"fast": "not plain and not numba", "plain": "plain or numba"}  # words in the names of tests and files
OUTCOME = re.compile(r"^(tests/\S+\.py)(::.+?) (PASSED|FAILED|SKIPPED|ERROR)\b", re.M)


class Tests:
    """A section whose one row counts the tests of a tier."""

    def __init__(self, tier):
        self.tier = tier

    def run(self, tiny, end, rows, folder):
        """Fill `rows`, and leave what pytest says in `folder`, until time.monotonic() is `end`. (status, reason)"""
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing or not (ROOT / "tests").is_dir():
            return "skipped", f"{' and '.join(missing)} not installed" if missing else f"there is no {ROOT / 'tests'}"
        log, left, code = folder / f"tests_{self.tier}.txt", files(tiny), FAULT
        log.write_bytes(b"")
        while left and code == FAULT:
            code = pytest(left, SELECT[self.tier], log, end)
            text = log.read_text(encoding="utf-8", errors="replace")
            rows["tests"] = {"name": f"tests, tier {self.tier}", **counts(text)}
            begun = [match[1] for match in OUTCOME.finditer(text)]
            left = left[left.index(begun[-1]) + 1 :] if code == FAULT and begun else left
            if code == FAULT and not begun:
                break
        if code is None:  # stopped
            return "partly", "no time left for all tests"
        if code in (0, 1) or (code == FAULT and not left):  # 1: some have failed
            return "done", ""
        return "failed", f"pytest ended with exit code {code}: {last_line(log)}"


def files(tiny):
    """Paths from the checkout's root, in order of worth."""
    if tiny:
        return ["tests/ops/test_softmax.py"]
    found = [path for room in ROOMS for path in sorted((ROOT / "tests" / room).rglob("test_*.py"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def pytest(paths, select, log, end):
    """The exit code of a run, which adds to `log`; None if it was stopped at `end`."""
    words = ["-v", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=short", "-k", select]
    words += [] if emulating() else ["--gpu"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "MINICNN_SYNC": "1"}
    with open(log, "ab") as out:
        command = [sys.executable, "-m", "pytest", *words, *paths]
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None
        finally:  # with all that it has started
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def counts(text):
    """How many tests have passed, failed, were skipped; the names of those that failed."""
    found = [(match[1] + match[2], match[3]) for match in OUTCOME.finditer(text)]
    failures = [name for name, outcome in found if outcome in ("FAILED", "ERROR")]
    passed, skipped = (sum(outcome == word for _, outcome in found) for word in ("PASSED", "SKIPPED"))
    return {"passed": passed, "failed": len(failures), "skips": skipped, "failures": failures, "ok": not failures}


def last_line(log):
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
