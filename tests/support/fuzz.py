"""Random misuse of the public interface (misuse.py) on the compiled tiers, where a touch of foreign memory is seen.

    python tests/support/fuzz.py --cases 5000 --seed 0                  the processor's kernels, between guard pages
    python tests/support/fuzz.py --cases 1000 --seed 0 --place cuda     CUDA C++, emulated: each access is looked up

Each case runs on the plain tier as well. It passes if both give the same numbers, or both an error of a kind that is
made for users (TypeError, ValueError, IndexError, RuntimeError, MemoryError). A crash ends a child process; the case is
named by its number, and `--only NUMBER` runs it alone.
"""

import argparse
import collections
import contextlib
import faulthandler
import json
import os
import resource
import subprocess
import sys

import guarded
import misuse
import numpy as np

from minicnn import Tensor, tier
from minicnn.device import to_device, to_host

ERRORS = (TypeError, ValueError, IndexError, RuntimeError, MemoryError)
CHUNK = 250  # cases of one child process
MEMORY = 8 << 30  # bytes of address space: a size of 2**40 shall be an error, and quickly


def outcome(run, make):
    """("values", arrays) or ("error", the class that users catch, the message); any other exception is raised."""
    try:
        with np.errstate(all="ignore"):
            return "values", [None if y is None else np.array(y.numpy()) for y in run(make)]
    except ERRORS as error:
        result = "error", next(kind for kind in ERRORS if isinstance(error, kind)), str(error)
    try:
        to_host()  # of two mistakes, a label that a kernel on the GPU has found is the earlier one
    except IndexError as error:
        return "error", IndexError, str(error)
    return result


def problem(seed, number, place="cpu"):
    """What is wrong with this case, in words; None if nothing is."""
    run = misuse.case(seed, number)
    with tier("plain"):
        expected = outcome(run, lambda array, requires_grad=False: _tensor(array.copy(order="K"), requires_grad))
    rng = np.random.default_rng([seed, number, 1])

    def make(array, requires_grad=False):
        array = guarded.copy(array, at_end=rng.random() < 0.7) if place == "cpu" else to_device(array, "cuda")
        return _tensor(array, requires_grad)

    with tier("fast"), guarded.kernels(rng) if place == "cpu" else contextlib.nullcontext():
        found = outcome(run, make)
    if MemoryError in (expected[1], found[1]):
        return None  # how much is asked for differs, and both have said so
    if expected[0] != found[0] or (expected[0] == "error" and expected[1] != found[1]):
        return f"plain gives {_in_short(expected)}, fast {_in_short(found)}"
    if expected[0] == "values":
        return _difference(expected[1], found[1])
    return None if found[2] else "an error without a message"


def _tensor(array, requires_grad):
    return Tensor(array, requires_grad and array.dtype.kind == "f")


def _in_short(result):
    return f"{result[1].__name__}: {result[2][:200]}" if result[0] == "error" else "values"


def _difference(expected, found):
    for i, (a, b) in enumerate(zip(expected, found, strict=True)):
        if (a is None) != (b is None):
            return f"result {i} is there on one tier only"
        if a is None:
            continue
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"result {i}: {a.shape} {a.dtype} against {b.shape} {b.dtype}"
        if a.dtype.kind != "f" or not (np.isfinite(a).all() and np.isfinite(b).all()):
            continue  # tiers differ in whether a NaN is multiplied by padding
        scale = max(1.0, float(np.abs(a).max(initial=0)))
        worst = float(np.abs(a.astype(np.float64) - b).max(initial=0))
        if worst > (2e-4 if a.dtype == np.float32 else 1e-9) * scale:
            return f"result {i} is off by {worst:.3g} where the largest is {scale:.3g}"
    return None


def child(args):
    """Run the cases [first, last), and write a line before each and after each."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in range(*args.child):
        print(json.dumps({"case": number, "kind": misuse.case(args.seed, number).kind}), flush=True)
        try:
            wrong = problem(args.seed, number, args.place)
        except Exception as error:
            wrong = f"a {type(error).__name__}, which is no error for users: {error}"
        print(json.dumps({"done": number, "wrong": wrong}), flush=True)


def run(args):
    """All cases, in child processes; returns the number of those that failed."""
    failures, kinds, first = 0, collections.Counter(), 0
    while first < args.cases:
        last = min(first + CHUNK, args.cases)
        command = [sys.executable, __file__, "--seed", args.seed, "--place", args.place, "--child", first, last]
        environment = {**os.environ, "MINICNN_EMULATE_GPU": "1" if args.place == "cuda" else "0"}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        kinds.update(line["kind"] for line in lines if "kind" in line)
        for line in lines:
            if line.get("wrong"):
                failures += 1
                print(f"case {line['done']} ({misuse.case(args.seed, line['done']).kind}): {line['wrong']}", flush=True)
        first = last
        if done.returncode and lines and "case" in lines[-1]:  # it died of this case
            failures += 1
            print(f"case {lines[-1]['case']} ({lines[-1]['kind']}) ended the process: {done.returncode}")
            print(done.stderr[-1500:], flush=True)
            first = lines[-1]["case"] + 1
        elif done.returncode:
            raise SystemExit(f"no case ran: {done.stderr[-2000:]}")
    print(f"{sum(kinds.values())} cases on {args.place}, seed {args.seed}: {failures} failed ({dict(kinds)})")
    return failures


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--only", type=int, help="run this case in this process, and show what is wrong")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        child(args)
        return 0
    if args.only is not None:
        print(problem(args.seed, args.only, args.place))
        return 0
    return 1 if run(args) else 0


if __name__ == "__main__":
    sys.exit(main())
