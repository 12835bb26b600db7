"""Processes in turns, A B A B ..., so that whatever else the machine does falls on all sides alike."""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from minicnn.console import say
from minicnn.device import cpu_unit
from minicnn.train.environment import cpu_name

from .figures import precision_of, rate
from .sides import SIDES

BENCHMARKS = Path(__file__).parents[1]  # where programs find this package
WORKER = "cpubench.worker"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINICNN_THREADS")
THREAD_VARIABLES += ("PJRT_NPROC", "NUM_CPU_THREADS")  # JAX's, tinygrad's
DEVICE_VARIABLES = {"JAX_PLATFORMS": "cpu", "DEV": "CPU"}  # JAX's, tinygrad's
BEHIND = 1.25  # so many times as slow in its first turn, and a way of PyTorch's is not its best one


def take_turns(sides, rounds, limit, pythons, **settings):
    """({side: [what worker.py prints, of each round]}, {side: why it was left out}).

    limit: seconds for all turns of a side; there is none after that. pythons: {library: its interpreter}.
    A way of PyTorch's that is far behind another one of the same precision has its first turn only.
    """
    runs, left_out = {side: [] for side in sides}, {}
    left = dict.fromkeys(sides, limit)
    going = list(sides)
    for turns_left in range(rounds, 0, -1):
        for side in going:
            start = time.perf_counter()
            try:
                found = run_one(side, python_of(side, pythons), limit=left[side] / turns_left, **settings)
            except subprocess.CalledProcessError as error:  # the terminal has its reason; the others' figures count
                found = {"left_out": f"its process ended with status {error.returncode}"}
            left[side] -= time.perf_counter() - start
            if "left_out" in found:
                left_out[side] = found["left_out"]
            else:
                runs[side].append(found)
        runs = {side: found for side, found in runs.items() if found}
        going = [side for side in runs if left[side] > 0 and not far_behind(side, runs)]
    return runs, left_out


def far_behind(side, runs):
    """Whether another way of PyTorch's, of the same precision, is BEHIND times as fast as this one."""
    if not side.startswith("torch"):
        return False
    rivals = (each for each in runs if each.startswith("torch") and precision_of(each) == precision_of(side))
    return max(rate(runs[each], 1) for each in rivals) > BEHIND * rate(runs[side], 1)


def settings_of(sides, pythons, threads):
    """{library: {name: text}}: versions, and the settings that speed depends on, of the libraries of `sides`."""
    found = {}
    for side in sides:
        library = SIDES[side].library
        if library not in found:
            lines = lines_of(side, python_of(side, pythons), task="describe", threads=threads)
            found[library] = answer(lines)["settings"]
            if said := [line for line in lines if line.startswith("onednn_verbose") and says_something(line)]:
                found[library]["oneDNN says"] = "\n".join(said)
    return found


def says_something(line):
    """Whether oneDNN names its version, the processor's instructions, or the convolution that it has chosen."""
    return ",info,oneDNN" in line or ",info,cpu," in line or (",exec," in line and ",convolution," in line)


def python_of(side, pythons):
    return pythons.get(SIDES[side].library, sys.executable)


def run_one(side, python=sys.executable, program=WORKER, **settings):
    """What one process prints. CalledProcessError if it fails."""
    return answer(lines_of(side, python, program, **settings))


def lines_of(side, python=sys.executable, program=WORKER, **settings):
    """The lines that one process prints, which has the thread counts in its environment from the start."""
    command = [python, "-m", program, json.dumps({"side": side, **settings})]
    done = subprocess.run(command, env=environment(settings["threads"]), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def answer(lines):
    """The line of JSON among what libraries print as well."""
    return json.loads(next(line for line in lines if line.startswith("{")))


def environment(threads):
    """This process's environment: every library knows how many threads to use, none sees a GPU, and programs find this
    package."""
    places = os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")]))
    return os.environ | DEVICE_VARIABLES | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONPATH": places}


def write(folder, name, result):
    """The raw figures as JSON, with the machine's name and the unit that multiplies."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": cpu_name(), "unit": cpu_unit(), "platform": platform.platform()}
    path.write_text(json.dumps({**machine, **result}, indent=1) + "\n")
    say(f"raw figures: {path}")
