"""What the tests of benchmarks/gpu.py share: its modules, a GPU that has a clock of its own, its table's cells."""

import importlib
import sys

from paths import BENCHMARKS

PROGRAM = BENCHMARKS / "gpu.py"


def part(name):
    """A module of benchmarks/gpubench, which is no part of the installed package."""
    return program(f"gpubench.{name}")


def program(name="gpu"):
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    return importlib.import_module(name)


class FakeEvents:
    """A GPU with a clock of its own: a cover takes 1 ms, the function 3 ms."""

    def __init__(self):
        self.now, self.covers = 0.0, 0

    def cover(self):
        self.now, self.covers = self.now + 1, self.covers + 1

    def record(self):
        return self.now

    def elapsed(self, start, stop):
        return stop - start

    def synchronize(self):
        pass

    def work(self):
        self.now += 3


def result_of(**rows):
    done = [
        {"section": name, "title": name, "status": "done", "reason": "", "seconds": 1.0, "rows": each, "clocks": None}
        for name, each in rows.items()
    ]
    about = {"started": "now", "commit": "abc", "minutes": 8, "seconds": 9.0, "emulated": False, "note": ""}
    return {**about, "sections": done}


def table_rows(text, heading):
    """The cells of the lines of one table, after its heading."""
    lines = text[text.index(f"## {heading}") :].splitlines()[2:]
    start = next(i for i, line in enumerate(lines) if line.startswith("| ---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
