"""One side of a comparison, in a process of its own.

    cd benchmarks
    python -m cpubench.worker '{"side": "minicnn float32 fast", "model": "alexnet", "batch_size": 64, "threads": 2,
                                "task": "train", "steps": 5, "limit": 300}'
    python -m cpubench.worker '{"side": "torch float32 NCHW", "threads": 2, "task": "describe"}'

Prints a line of JSON: seconds of each step after the untimed ones, the peak resident memory from then on and what the
library alone takes (MiB), the last result; or {"left_out": why}, where it cannot run; or {"settings": {name: text}}.
"limit": with fewer steps, but one at least, if so many seconds have passed since the first untimed one, which compiles.
"""

import importlib
import json
import resource  # Windows has none
import sys
import time
from pathlib import Path

from .sides import SIDES, LeftOut

UNTIMED = 2  # the first one compiles and fills the pools of memory, the second finds them


def main():
    settings = json.loads(sys.argv[1])
    try:
        found = described(settings) if settings["task"] == "describe" else timed(settings)
    except LeftOut as reason:
        found = {"left_out": str(reason)}
    sys.stdout.write(json.dumps(found) + "\n")


def timed(settings):
    limit = settings.get("limit", float("inf"))

    def may_go_on():
        return time.perf_counter() - started < limit

    side = SIDES[settings["side"]]
    module = importlib.import_module(f".{side.module}", __package__)
    library_mib = resident_mib("VmRSS")
    step = module.prepare(settings, **side.options)
    step()  # it may compile for a minute: the limit is for what follows, or one step would be all that is measured
    started = time.perf_counter()
    for _ in range(UNTIMED - 1):
        if may_go_on():
            step()
    forget_peak()
    seconds = []
    while len(seconds) < settings["steps"] and (not seconds or may_go_on()):
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "peak_mib": resident_mib("VmHWM"), "library_mib": library_mib, "result": result}


def described(settings):
    side = SIDES[settings["side"]]
    module = importlib.import_module(f".{side.module}", __package__)
    return {"settings": module.describe({**settings, "library": side.library})}


STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak():
    """What compilers and exporters needed is not a step's; only Linux can forget it."""
    if FORGET.exists():
        FORGET.write_text("5")  # man 5 proc: the peak is now what there is


def resident_mib(which):
    """VmRSS, the memory that the process has now, or VmHWM, its peak; where there is no Linux, the peak for both."""
    if STATUS.exists():
        kib = next(line.split()[1] for line in STATUS.read_text().splitlines() if line.startswith(which))
        return int(kib) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


if __name__ == "__main__":
    main()
