"""How fast minicnn is on a processor, beside PyTorch and onnxruntime on the same cores.

    python benchmarks/cpu.py                            training steps and inference, the tables of docs/speed.md
    python benchmarks/cpu.py steps --sides "minicnn fast" torch --models resnet18 --rounds 5
    python benchmarks/cpu.py steps --sides bfloat16 --without plain "torch NCHW compiled"
    python benchmarks/cpu.py rounding                   float32 and bfloat16 beside float64, each convolution algorithm
    python benchmarks/cpu.py layers                     each convolution alone, all three passes
    python benchmarks/cpu.py scaling                    speed and memory against batch size and depth, as a figure
    python benchmarks/cpu.py tables                     those of the documents, from benchmarks/results/cpu
    python benchmarks/cpu.py steps --python chainer=old/bin/python     a library that another interpreter has

Each side runs in a process of its own, in turns (A B A B ...), with the same number of threads, the same random
pictures and labels, and without dropout. PyTorch runs in float32 and in bfloat16, each in both memory layouts, eager
and compiled (which needs a C++ compiler), and the fastest of a precision counts; one that is far behind in its first
turn has no other. onnxruntime predicts with torchvision's network, which PyTorch exports (that needs the package onnx).
JAX, tinygrad (which needs clang) and Chainer run where they are installed; Chainer 7.8.1 needs a NumPy below 2, so it
has an environment of its own, whose interpreter --python names.

Printed are the settings that speed depends on, medians over all timed steps, ratios of images per second, and the peak
resident memory of each process in its timed steps. The raw figures go to --out as JSON. A side that is slow enough to
reach --limit has fewer steps than the others there; it counts from the first step's end, and a turn that compiled for
longer is a side's last. torch.compile takes its time once: it keeps what it has compiled.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from cpubench.documents import write_tables
from cpubench.figures import table
from cpubench.layers import compare_layers
from cpubench.rounding import measure_rounding
from cpubench.scaling import scale
from cpubench.sides import SIDES, chosen, there_is
from cpubench.turns import settings_of, take_turns, write

from minicnn.console import say
from minicnn.device import cpu_unit
from minicnn.train import exit_code
from minicnn.train.environment import cpu_name

TRAINING = {"alexnet": (64,), "resnet18": (16,), "resnet50": (8,)}  # model: batch sizes
INFERENCE = {"alexnet": (1, 32), "resnet18": (1, 32), "resnet50": (1, 32)}
OTHER_PYTHON = "the interpreter that has a side's library, if it is not this one"


def main():
    from minicnn.kernels.cpu.machine import awake, threads  # here: an error of $MINICNN_CPU is told by exit_code

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    of_all = "default: all, which is steps + inference"
    parser.add_argument("what", nargs="?", choices=("all", *PARTS), default="all", help=of_all)
    parser.add_argument("--models", nargs="+", choices=TRAINING, default=list(TRAINING))
    usual = "pictures in a batch (default: 64, 16 and 8 in training, 1 and 32 in inference)"
    parser.add_argument("--batch-sizes", type=int, nargs="+", metavar="PICTURES", help=usual)
    words = "those whose names have these words, such as 'minicnn fast' (default: all whose library is installed)"
    parser.add_argument("--sides", nargs="+", type=known_words, default=[""], metavar="WORDS", help=words)
    parser.add_argument("--without", nargs="+", type=known_words, default=[], metavar="WORDS", help="leave these out")
    parser.add_argument(
        "--python", nargs="+", type=library_and_path, default=[], metavar="LIBRARY=PATH", help=OTHER_PYTHON
    )
    parser.add_argument("--threads", type=int, default=threads.threads(), help="of each side (default: all cores)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side, taken in turns (default: 3)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each process (default: 5)")
    parser.add_argument("--limit", type=float, default=300, help="seconds for all rounds of a side (default: 300)")
    parser.add_argument("--out", type=Path, default="runs/cpu", help="folder for the raw figures (default: runs/cpu)")
    args = parser.parse_args()
    args.python = dict(args.python)
    reason = awake.why_not(args.threads)
    cores = f"cores {f'not kept awake: {reason}' if reason else 'kept awake'}"
    say(f"{cpu_name()}, unit {cpu_unit()}, {args.threads} threads; {cores}")
    for what in ("steps", "inference") if args.what == "all" else (args.what,):
        PARTS[what](args)


def known_words(text):
    """The words of a name of a side."""
    if not any(chosen([text], task) for task in ("train", "infer")):
        raise argparse.ArgumentTypeError(f"no side has the words {text!r} in its name; there are {', '.join(SIDES)}")
    return text


def library_and_path(text):
    """The two parts of LIBRARY=PATH."""
    library, equals, path = text.partition("=")
    libraries = dict.fromkeys(side.library for side in SIDES.values())
    if library not in libraries or not equals:
        raise argparse.ArgumentTypeError(
            f"expected LIBRARY=PATH with a library of {', '.join(libraries)}, got {text!r}"
        )
    return library, path


def compare(args, task, cases):
    asked = [side for side in chosen(args.sides, task) if side not in chosen(args.without, task)]
    sides = [side for side in asked if SIDES[side].library in args.python or there_is(SIDES[side].library)]
    settings_then = settings_of(sides, args.python, args.threads)
    for library, texts in settings_then.items():
        say(f"\n{library}")
        say("\n".join(f"    {name}: {text}".replace("\n", "\n        ") for name, text in texts.items()))
    for model in args.models:
        for batch_size in args.batch_sizes or cases[model]:
            settings = {"task": task, "model": model, "batch_size": batch_size}
            settings |= {"threads": args.threads, "steps": args.steps}
            runs, left_out = take_turns(sides, args.rounds, args.limit, args.python, **settings)
            say(f"\n{'training step' if task == 'train' else 'inference'}: {model}, batch {batch_size}")
            say("\n".join(table(runs, batch_size)))
            for side, reason in left_out.items():
                say(f"left out: {side}: {reason}")
            result = {**settings, "limit": args.limit, "settings": settings_then, "left_out": left_out, "runs": runs}
            write(args.out, f"{task}_{model}_b{batch_size}_t{args.threads}", result)


PARTS = {
    "steps": partial(compare, task="train", cases=TRAINING),
    "inference": partial(compare, task="infer", cases=INFERENCE),
    "layers": compare_layers,
    "scaling": scale,
    "rounding": measure_rounding,
    "tables": write_tables,
}


if __name__ == "__main__":
    sys.exit(exit_code(main))
