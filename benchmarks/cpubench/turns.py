"""Processes in turns, A B A B ..., so that whatever else the machine does falls on all sides alike."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from minicnn.console import say
from minicnn.train.environment import cpu_name

WORKER = Path(__file__).with_name("worker.py")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINICNN_THREADS")
THREAD_VARIABLES += ("PJRT_NPROC", "NUM_CPU_THREADS")  # JAX's, tinygrad's
DEVICE_VARIABLES = {"JAX_PLATFORMS": "cpu", "DEV": "CPU"}  # JAX's, tinygrad's


def take_turns(sides, rounds, limit, pythons, **settings):
    """{side: [what worker.py prints, of each round]}.

    limit: seconds, after which a side has no further turn. pythons: {side: interpreter} of those that need another.
    """
    runs = {side: [] for side in sides}
    left = dict.fromkeys(sides, limit)
    for _ in range(rounds):
        for side in (side for side in sides if left[side] > 0):
            start = time.perf_counter()
            runs[side].append(run_one(side, pythons.get(side, sys.executable), limit=left[side], **settings))
            left[side] -= time.perf_counter() - start
    return runs


def run_one(side, python=sys.executable, program=WORKER, **settings):
    """What one process prints, which has the thread counts in its environment from the start."""
    command = [python, str(program), json.dumps({"side": side, **settings})]
    done = subprocess.run(command, env=environment(settings["threads"]), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def environment(threads):
    """This process's environment, with every library told how many threads to use, and no GPU."""
    return os.environ | DEVICE_VARIABLES | dict.fromkeys(THREAD_VARIABLES, str(threads))


def rate(runs, batch_size):
    """Images per second: the batch over the median of all timed steps of all rounds."""
    return batch_size / statistics.median(t for run in runs for t in run["seconds"])


def peak(runs):
    return statistics.median(run["peak_mib"] for run in runs)


def table(runs, batch_size):
    """Lines: images/s and peak memory of each side, and their ratios to the fastest of PyTorch's."""
    rates, peaks = ({side: f(r) for side, r in runs.items()} for f in (lambda r: rate(r, batch_size), peak))
    best = max((side for side in runs if side.startswith("torch")), key=rates.get, default=None)
    yield f"{'':22}{'images/s':>10}{'of PyTorch':>12}{'peak MiB':>10}{'of PyTorch':>12}"
    for side in runs:
        ratios = (rates[side] / rates[best], peaks[side] / peaks[best]) if best else (float("nan"),) * 2
        yield f"{side:22}{rates[side]:>10.2f}{ratios[0]:>12.2f}{peaks[side]:>10.0f}{ratios[1]:>12.2f}"


def write(folder, name, result):
    """The raw figures as JSON, with the machine's name."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": cpu_name(), "platform": platform.platform(), **result}, indent=1) + "\n")
    say(f"raw figures: {path}")
