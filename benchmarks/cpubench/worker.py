"""One side of a comparison, in a process of its own.

    python worker.py '{"side": "minicnn fast", "model": "alexnet", "batch_size": 64, "threads": 2, "task": "train",
                       "steps": 5, "limit": 300}'

Prints JSON: seconds of each step after the untimed ones, the peak resident memory in MiB, versions, the last result.
"limit": with fewer steps, but one at least, if the process is that many seconds old.
"""

import json
import resource  # Windows has none
import sys
import time

from sides import SIDES

UNTIMED = 2  # the first one compiles and fills the pools of memory, the second finds them


def main():
    started = time.perf_counter()
    settings = json.loads(sys.argv[1])
    limit = settings.get("limit", float("inf"))
    step, versions = SIDES[settings["side"]](settings)
    for _ in range(UNTIMED):
        step()
    seconds = []
    while len(seconds) < settings["steps"] and (not seconds or time.perf_counter() - started < limit):
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mib": peak, "result": result, "versions": versions}) + "\n")


if __name__ == "__main__":
    main()
