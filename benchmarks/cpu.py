"""How fast minicnn is on a processor, beside PyTorch on the same cores.

    python benchmarks/cpu.py                            training steps and inference, the tables of docs/speed.md
    python benchmarks/cpu.py rounding                   float32 beside float64, each algorithm of convolution
    python benchmarks/cpu.py steps --models resnet18 --rounds 5
    python benchmarks/cpu.py layers                     each convolution alone, all three passes
    python benchmarks/cpu.py scaling                    speed and memory against batch size and depth, as a figure
    python benchmarks/cpu.py steps --python chainer=old/bin/python     a library that another interpreter has

Each side runs in a process of its own, in turns (A B A B ...), with the same number of threads, the same random
pictures and labels, and without dropout. PyTorch runs with both memory layouts, and the faster one counts. JAX,
tinygrad (which needs clang) and Chainer run where they are installed; Chainer 7.8.1 needs a NumPy below 2, so it has an
environment of its own, whose interpreter --python names. Printed are medians over all timed steps, ratios of images per
second, and the peak resident memory of each process. The raw figures go to --out as JSON. A side that is slow enough to
reach --limit has fewer steps than the others there.
"""

import argparse
import importlib.util
import shutil
from functools import partial
from pathlib import Path

from cpubench.layers import compare_layers
from cpubench.rounding import measure_rounding
from cpubench.scaling import scale
from cpubench.sides import SIDES
from cpubench.turns import table, take_turns, write

from minicnn.console import say
from minicnn.kernels.cpu.machine import awake, threads
from minicnn.train.environment import cpu_name

TRAINING = {"alexnet": (64,), "resnet18": (16,), "resnet50": (8,)}  # model: batch sizes
INFERENCE = {"alexnet": (1, 32), "resnet18": (1, 32), "resnet50": (1, 32)}
OTHER_PYTHON = "the interpreter that has a side's library, if it is not this one"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    of_all = "default: all, which is steps + inference"
    parser.add_argument("what", nargs="?", choices=("all", *PARTS), default="all", help=of_all)
    parser.add_argument("--models", nargs="+", choices=TRAINING, default=list(TRAINING))
    parser.add_argument("--sides", nargs="+", choices=SIDES, help="default: all whose library is installed")
    parser.add_argument("--python", nargs="+", type=side_and_path, default=[], metavar="SIDE=PATH", help=OTHER_PYTHON)
    parser.add_argument("--threads", type=int, default=threads.threads(), help="of each side (default: all cores)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side, taken in turns (default: 3)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each process (default: 5)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for all rounds of a side (default: 300)")
    parser.add_argument("--out", type=Path, default="runs/cpu", help="folder for the raw figures (default: runs/cpu)")
    args = parser.parse_args()
    args.python = dict(args.python)
    args.sides = args.sides or [side for side in SIDES if side in args.python or there_is(side)]
    reason = awake.why_not(args.threads)
    say(f"{cpu_name()}, {args.threads} threads; cores {f'not kept awake: {reason}' if reason else 'kept awake'}")
    for what in ("steps", "inference") if args.what == "all" else (args.what,):
        PARTS[what](args)


def there_is(side):
    """Whether the library of a side is installed, and the compiler that it calls."""
    found = importlib.util.find_spec(side.split()[0]) is not None
    return found and (side != "tinygrad" or shutil.which("clang") is not None)


def side_and_path(text):
    """The two parts of SIDE=PATH."""
    side, equals, path = text.partition("=")
    if side not in SIDES or not equals:
        raise argparse.ArgumentTypeError(f"expected SIDE=PATH with a side of {', '.join(SIDES)}, got {text!r}")
    return side, path


def compare(args, task, cases):
    for model in args.models:
        for batch_size in cases[model]:
            settings = {"task": task, "model": model, "batch_size": batch_size}
            settings |= {"threads": args.threads, "steps": args.steps}
            runs = take_turns(args.sides, args.rounds, args.limit, args.python, **settings)
            say(f"\n{'training step' if task == 'train' else 'inference'}: {model}, batch {batch_size}")
            say("\n".join(table(runs, batch_size)))
            name = f"{task}_{model}_b{batch_size}_t{args.threads}"
            write(args.out, name, {**settings, "limit": args.limit, "runs": runs})


PARTS = {
    "steps": partial(compare, task="train", cases=TRAINING),
    "inference": partial(compare, task="infer", cases=INFERENCE),
    "layers": compare_layers,
    "scaling": scale,
    "rounding": measure_rounding,
}


if __name__ == "__main__":
    main()
