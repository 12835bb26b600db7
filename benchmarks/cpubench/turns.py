"""Processes in turns, A B A B ..., so that whatever else the machine does falls on all sides alike."""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from minicnn.train.environment import cpu_name

WORKER = Path(__file__).with_name("worker.py")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINICNN_THREADS")


def take_turns(sides, rounds, **settings):
    """{side: [what worker.py prints, of each round]}."""
    runs = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            runs[side].append(run_one(side, **settings))
    return runs


def run_one(side, **settings):
    """One process, which has the thread counts in its environment from the start."""
    command = [sys.executable, str(WORKER), json.dumps({"side": side, **settings})]
    done = subprocess.run(command, env=environment(settings["threads"]), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def environment(threads):
    """This process's environment, with every library told how many threads to use."""
    return {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}}


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
    print(f"raw figures: {path}")
