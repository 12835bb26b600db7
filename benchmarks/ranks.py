"""How fast several processes train on one machine, beside one process on the same cores.

    python benchmarks/ranks.py                                   the table of docs/scale.md: two cores
    python benchmarks/ranks.py --networks resnet18 --rounds 5 --out runs/ranks

The ways take turns (A B C A B C ...), each in fresh processes that are started and ended for it, on the same random
pictures and labels, with batches of the same size over all ranks. Printed are medians over all timed steps: images per
second, their ratio to one process with all threads, and the share of a rank's time in which it waits for the others or
sends (its World's methods are timed; what is sent while it computes does not count). The raw seconds go to --out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from minicnn import functional as F
from minicnn import manual_seed, models, optim
from minicnn.console import say
from minicnn.distributed import DataParallel, World, world
from minicnn.distributed.rows import rows
from minicnn.storage.files import write_json
from minicnn.tensor import Tensor
from minicnn.train.environment import cpu_name

NETWORKS = {"resnet18": (32, 224), "resnet20": (128, 32), "alexnet": (32, 224)}  # batch over all ranks, pixels
WAITING = ("sum", "gather", "scatter_sum", "exchange", "broadcast", "share", "gather_values")  # methods of World


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--cores", type=int, default=2, help="ranks x threads of every way (default: 2)")
    parser.add_argument("--rounds", type=int, default=4, help="turns (default: 4)")
    parser.add_argument("--steps", type=int, default=4, help="timed steps of a turn, after two others (default: 4)")
    parser.add_argument("--batch-size", type=int, help="over all ranks (default: the network's)")
    parser.add_argument("--out", type=Path, default=Path("runs/ranks"), help="folder for the raw figures")
    parser.add_argument("--work", help=argparse.SUPPRESS)  # what this program starts: the network to train
    args = parser.parse_args()
    if args.work:
        work(args)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    ways = [(args.cores, 1), (1, args.cores), (1, 1)]  # (ranks, threads)
    say(f"{cpu_name()}, {args.cores} cores\n\n| network | ranks x threads | images/s | ratio | waiting |")
    say("|---|---|---|---|---|")
    for network in args.networks:
        runs = {way: [] for way in ways}
        for _ in range(args.rounds):
            for way in ways:
                runs[way].append(measured(network, args, *way))
        write_json(args.out / f"{network}.json", {
            "processor": cpu_name(), "batch": runs[ways[0]][0]["batch"],
            "runs": {f"{ranks} x {threads}": of_way for (ranks, threads), of_way in runs.items()},
        })  # fmt: skip
        for line in table(network, runs, ways):
            say(line)


def measured(network, args, ranks, threads):
    """What rank 0 of so many ranks has measured, each with so many threads."""
    command = [sys.executable, __file__, "--work", network, "--steps", str(args.steps)]
    if args.batch_size:
        command += ["--batch-size", str(args.batch_size)]
    if ranks > 1:
        mpiexec = Path(sys.executable).with_name("mpiexec")
        command = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", str(ranks), *command]
    environment = {"MINICNN_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    found = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {found.returncode}:\n{found.stderr[-2000:]}")
    return json.loads(found.stdout)


def table(network, runs, ways):
    """A line for each way; the ratio is to one process with all threads, turn by turn."""
    batch = runs[ways[0]][0]["batch"]
    for ranks, threads in ways:
        own, one = runs[ranks, threads], runs[ways[1]]
        seconds = [second for run in own for second in run["seconds"]]
        each = [median(b["seconds"]) / median(a["seconds"]) for a, b in zip(own, one, strict=True)]
        waiting = sum(sum(run["waiting"]) for run in own) / sum(seconds)
        ratio = "1" if own is one else f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
        name, speed = f"{network}, batch {batch}", f"{batch / median(seconds):.1f}"
        yield f"| {name} | {ranks} x {threads} | {speed} | {ratio} | {waiting:.0%} |"


def work(args):
    """One process: train, and print what rank 0 has measured."""
    batch, pixels = NETWORKS[args.work]
    batch = args.batch_size or batch
    timed = Timed(world())
    manual_seed(0)
    make = {"resnet20": lambda: models.cifar_resnet(20), "resnet18": models.resnet18, "alexnet": models.alexnet}
    model = make[args.work]()
    parallel, optimizer = DataParallel(model, world=timed), optim.SGD(model.parameters(), 0.01, 0.9, weight_decay=1e-4)
    own = rows(batch, *timed.part)
    rng = np.random.default_rng(timed.rank)
    images = Tensor(rng.standard_normal((len(own), 3, pixels, pixels), np.float32))
    labels = rng.integers(0, 10, len(own))
    seconds, waiting = [], []
    for step in range(args.steps + 2):
        timed.waited, began = 0.0, time.perf_counter()
        optimizer.zero_grad()
        with parallel.step(len(own)) as count:
            loss = F.cross_entropy(model(images), labels, reduction="sum") / count
            loss.backward()
        optimizer.step()
        if step >= 2:  # kernels are compiled, and memory is there
            seconds.append(time.perf_counter() - began)
            waiting.append(timed.waited)
    if timed.is_main:
        say(json.dumps({"batch": batch, "seconds": seconds, "waiting": waiting}))


class Timed(World):
    """The ranks of `inner`, with the time that its methods take."""

    def __init__(self, inner: World) -> None:
        self.inner, self.waited = inner, 0.0
        self.rank, self.size = inner.rank, inner.size
        for name in WAITING:
            setattr(self, name, self._timed(getattr(inner, name)))

    def start_sum(self, array, send="float32"):
        """The sum of `inner`, whose beginning and whose wait are timed."""
        sending = self._timed(self.inner.start_sum)(array, send)
        sending.wait = self._timed(sending.wait)
        return sending

    def _timed(self, method):
        def call(*args, **keywords):
            began = time.perf_counter()
            try:
                return method(*args, **keywords)
            finally:
                self.waited += time.perf_counter() - began

        return call


if __name__ == "__main__":
    main()
