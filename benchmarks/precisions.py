"""Whether a network learns in bfloat16 what it learns in float32: three examples, from three seeds each, as a figure.

    python benchmarks/precisions.py DIR         CIFAR-10's pictures, DIR/train/<class>/* and DIR/val/<class>/*
    python benchmarks/precisions.py DIR --runs transfer_cifar --seeds 0
    python benchmarks/precisions.py             the sample run alone, whose pictures are drawn

    alexnet_sample   AlexNet on drawn pictures: the sample run of docs/train.md
    resnet20_cifar   ResNet-20 on 500 pictures of each class, seven epochs, as in docs/resnet.md, but for lr / 10 in the
                     last two: at lr 0.1 validation swings by five points from epoch to epoch
    transfer_cifar   ResNet-20, trained on eight classes in float32, is fine-tuned on 50 pictures each of the other two

To --out go, for each run, the log of every seed in both precisions, commands and machine as JSON, and curves.png. What
has its log there is not run again. Printed is where float32 ends, from seed to seed, and where bfloat16 does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from minicnn.console import say
from minicnn.runlog import read_log
from minicnn.storage.files import atomic_write

ROOT = Path(__file__).parents[1]
PRECISIONS = {"float32": "#4c72b0", "bfloat16": "#dd8452"}  # and the colour of its curves
EIGHT = ["airplane", "automobile", "bird", "deer", "dog", "frog", "horse", "ship"]
SCHEDULE = ["--train-per-class", "500", "--epochs", "7"]
LR = ["--milestones", "200"]  # steps, 40 in an epoch


class Run(NamedTuple):
    """A program of examples/ and its arguments; {pictures} and {weights} stand for paths."""

    title: str
    program: str
    words: list[str]


TRANSFER = "{pictures} --arch resnet20 --weights {weights} --option 2 --train-per-class 50 --epochs 40"
RUNS = {
    "alexnet_sample": Run("AlexNet, drawn pictures", "alexnet_imagenet.py", []),
    "resnet20_cifar": Run("ResNet-20, 5,000 pictures", "resnet_cifar10.py", ["{pictures}", *SCHEDULE, *LR]),
    "transfer_cifar": Run(
        "ResNet-20 transferred, 100 pictures",
        "transfer_flowers102.py",
        [*TRANSFER.split(), "--classes", "cat", "truck"],
    ),
}
PRETRAINING = ["{pictures}", *SCHEDULE, "--classes", *EIGHT]  # of the weights, by resnet_cifar10.py, from seed 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", metavar="DIR", nargs="?", type=Path, help="CIFAR-10's pictures, in folders")
    parser.add_argument("--runs", nargs="+", choices=RUNS, help="default: all with DIR, else alexnet_sample")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    where = "default: benchmarks/results/bfloat16"
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "bfloat16", help=where)
    args = parser.parse_args()
    names = args.runs or (RUNS if args.pictures else ["alexnet_sample"])
    if not args.pictures and any("{pictures}" in RUNS[name].words for name in names):
        parser.error("resnet20_cifar and transfer_cifar need DIR, the folder of CIFAR-10's pictures")
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainings(args.pictures, Path(scratch))
        for name in names:
            for seed in args.seeds:  # in turns, should the machine be stopped half-way
                for precision in PRECISIONS:
                    if not log_of(args.out, name, precision, seed).is_file():
                        trainer.train(args.out, name, precision, seed)
    summarise(args.out)


def log_of(folder, name, precision, seed):
    return folder / f"{name}_{precision}_seed{seed}.csv"


class Trainings:
    """Runs programs of examples/, each in a folder of `scratch`."""

    def __init__(self, pictures, scratch):
        self.paths = {"pictures": pictures, "weights": scratch / "weights" / "checkpoint_last.npz"}
        self.scratch = scratch

    def train(self, out, name, precision, seed):
        """One run; its log, and what it was, go to the folder `out`."""
        program, words = RUNS[name].program, RUNS[name].words
        if "{weights}" in words and not self.paths["weights"].is_file():
            self.call("resnet_cifar10.py", PRETRAINING, "float32", 0, self.paths["weights"].parent)
        folder = self.scratch / f"{name}_{precision}_{seed}"
        self.call(program, words, precision, seed, folder)
        add_to(out / f"{name}.json", f"{precision} seed {seed}", about(folder, program, words, precision, seed))
        with atomic_write(log_of(out, name, precision, seed)) as file:  # last: it says that all is there
            file.write((folder / "log.csv").read_bytes())

    def call(self, program, words, precision, seed, folder):
        words = [word.format(**self.paths) for word in words]
        words += ["--precision", precision, "--seed", str(seed), "--output-dir", str(folder)]
        say(f"{program} {' '.join(words)}")
        subprocess.run([sys.executable, str(ROOT / "examples" / program), *words], check=True)


def about(folder, program, words, precision, seed):
    """The entry of a run in the JSON file: its command, where it has ended, where it ran."""
    rows = read_log(folder / "log.csv")
    shown = " ".join(word.format(pictures="DIR", weights="WEIGHTS") for word in words)
    command = f"python examples/{program} {shown} --precision {precision} --seed {seed}"
    last = {name: float(rows[-1][name]) for name in ("val_top1", "val_top5")}
    seconds = round(sum(float(row["seconds"]) for row in rows), 1)
    environment = json.loads((folder / "args.json").read_text())["environment"]
    return {"command": command, **last, "epochs": len(rows), "seconds": seconds, "environment": environment}


def add_to(path, key, entry):
    """Put an entry among the "runs" of a JSON file, which need not be there yet."""
    found = json.loads(path.read_text()) if path.is_file() else {"cores": len(os.sched_getaffinity(0)), "runs": {}}
    found["runs"][key] = entry
    with atomic_write(path) as file:
        file.write((json.dumps(found, indent=1) + "\n").encode())


def curves(folder):
    """{run: {precision: [validation top-1 of each epoch, of each seed]}} of the logs that lie in a folder."""
    found = {}
    for name in RUNS:
        for precision in PRECISIONS:
            for log in sorted(folder.glob(f"{name}_{precision}_seed*.csv")):
                top1 = [float(row["val_top1"]) for row in read_log(log, ("epoch", "val_top1"))]
                found.setdefault(name, {}).setdefault(precision, []).append(top1)
    return {name: logs for name, logs in found.items() if len(logs) == len(PRECISIONS)}


def summarise(folder):
    """Print where each run has ended, and draw curves.png."""
    found = curves(folder)
    for name, logs in found.items():
        ends = {precision: [each[-1] for each in seeds] for precision, seeds in logs.items()}
        parts = [f"{key} {min(v):.1f} to {max(v):.1f} %, mean {mean(v):.1f}" for key, v in ends.items()]
        end, float32 = mean(ends["bfloat16"]), ends["float32"]
        where = "BELOW" if end < min(float32) else "above" if end > max(float32) else "within"
        say(f"{name}: {'; '.join(parts)}: bfloat16's mean ends {where} float32's spread")
    if found:
        draw(folder / "curves.png", found)
        say(f"figure: {folder / 'curves.png'}")


def draw(path, found):
    """A panel for each run, a curve for each seed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(found), 3.6), layout="constrained")
    for axes, (name, logs) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        for precision, seeds in logs.items():
            for number, top1 in enumerate(seeds):
                epochs, label = range(1, len(top1) + 1), None if number else precision
                axes.plot(epochs, top1, color=PRECISIONS[precision], label=label, linewidth=1.2)
        axes.set(title=RUNS[name].title, xlabel="epoch", ylabel="validation top-1 (%)")
        axes.legend()
    with atomic_write(path) as file:
        FigureCanvasAgg(figure).print_png(file)


if __name__ == "__main__":
    main()
