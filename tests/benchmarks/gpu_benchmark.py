"""What the tests of benchmarks/gpu.py share: its modules, a GPU with a clock of its own, sections, table cells."""

import importlib
import os
import sys
import time

from paths import BENCHMARKS

PROGRAM = BENCHMARKS / "gpu.py"


def part(name):
    """A module of benchmarks/gpubench, which is no part of the installed package."""
    return program(f"gpubench.{name}")


def program(name="gpu"):
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    return importlib.import_module(name)


class FakeEvent:
    def __init__(self, events):
        self.events = events

    def record(self):
        self.time = self.events.read()


class FakeEvents:
    """A GPU with a clock of its own: a cover takes 1 ms, the function 3 ms."""

    def __init__(self):
        self.now, self.covers = 0.0, 0

    def cover(self):
        self.now, self.covers = self.now + 1, self.covers + 1

    def read(self):
        return self.now

    def event(self):
        return FakeEvent(self)

    def elapsed(self, start, stop):
        return stop.time - start.time

    def synchronize(self):
        pass

    def work(self):
        self.now += 3

    def clock(self):
        return part("clock").Clock(self.event, self.elapsed, self.synchronize, self.cover)


def fails():
    raise ValueError("no good")


def fake_items(tiny):
    """Measurements of a section, in its process."""
    return [("one", lambda: {"value": 1}), ("dies", os.abort), ("fails", fails), ("two", lambda: {"value": 2})]


def hanging_items(tiny):
    return [("one", lambda: {"value": 1}), ("hangs", lambda: time.sleep(60)), ("three", dict)]


def dying_items(tiny):
    os.abort()


def named_items(tiny):
    return [("gpu", lambda: {"name": "NVIDIA H200"})]


def broken_items(tiny):
    raise RuntimeError("no CUDA-capable device")


def missing_items(tiny):
    importlib.import_module("minicnn.nothing")


def result_of(**rows):
    done = [
        {"section": name, "title": name, "status": "done", "reason": "", "seconds": 1.0, "rows": each, "clocks": None}
        for name, each in rows.items()
    ]
    about = {
        "program": "benchmarks/gpu.py",
        "started": "now",
        "commit": "abc",
        "minutes": 8,
        "seconds": 9.0,
        "emulated": False,
        "note": "",
    }
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
