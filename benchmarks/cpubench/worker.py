"""One side of a comparison, in a process of its own.

    python worker.py '{"side": "minicnn fast", "model": "alexnet", "batch_size": 64, "threads": 2, "task": "train",
                       "steps": 5}'

Prints JSON: seconds of each step after the untimed ones, the peak resident memory in MiB, versions, the last result.
"""

import json
import resource  # Windows has none
import sys
import time

from sides import SIDES

UNTIMED = 2  # the first one compiles and fills the pools of memory, the second finds them


def main():
    settings = json.loads(sys.argv[1])
    step, versions = SIDES[settings["side"]](settings)
    for _ in range(UNTIMED):
        step()
    seconds = []
    for _ in range(settings["steps"]):
        start = time.perf_counter()
        result = step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "result": result, "versions": versions}))


if __name__ == "__main__":
    main()
