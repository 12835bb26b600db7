"""How fast a training step is, beside PyTorch on the same cores.

    python benchmarks/train_step.py                       AlexNet, batch 64
    python benchmarks/train_step.py --batch-size 16 --rounds 5 --out benchmarks/results

Each side runs in a process of its own, in turns (A B A B ...), with the same number of threads, the same random
pictures and labels, and without dropout. PyTorch runs with both memory layouts, and the faster one counts. Printed are
medians over all timed steps, ratios of images per second, and the peak resident memory of each process.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIDES = ("minicnn", "torch", "torch-channels-last")
MODELS = ("alexnet",)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=MODELS, default="alexnet")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--tier", default="plain", help="minicnn's tier (default: plain)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of each side (default: all cores)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side, taken in turns (default: 3)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a process, after one untimed (default: 5)")
    parser.add_argument("--out", type=Path, help="folder to write the raw result into, as JSON")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)  # run this side, in this process
    args = parser.parse_args()
    if args.side:
        print(json.dumps(measure(args)))
    else:
        compare(args)


def compare(args):
    """Run every side `rounds` times in turns, print the table, write the raw figures."""
    from minicnn.train.environment import cpu_name  # not above: PyTorch's process shall hold nothing of minicnn

    runs = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            runs[side].append(run_in_process(side, args))
    images = {s: args.batch_size / statistics.median(t for run in r for t in run["seconds"]) for s, r in runs.items()}
    memory = {side: statistics.median(run["peak_mib"] for run in r) for side, r in runs.items()}
    best = max(SIDES[1:], key=images.get)
    title = f"{args.model}, batch {args.batch_size}, {args.threads} threads, tier {args.tier}, {cpu_name()}"
    print(f"training step: {title}")
    print(f"{'':22}{'images/s':>10}{'of PyTorch':>12}{'peak MiB':>10}{'of PyTorch':>12}")
    for side in SIDES:
        ratios = images[side] / images[best], memory[side] / memory[best]
        print(f"{side:22}{images[side]:>10.1f}{ratios[0]:>12.2f}{memory[side]:>10.0f}{ratios[1]:>12.2f}")
    if args.out:
        settings = {key: value for key, value in vars(args).items() if key not in ("out", "side")}
        result = {"machine": cpu_name(), "platform": platform.platform(), **settings, "runs": runs}
        path = args.out / f"train_step_{args.model}_b{args.batch_size}_t{args.threads}_{args.tier}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"raw figures: {path}")


def run_in_process(side, args):
    """`measure` for one side, in a fresh process that has the thread counts in its environment from the start."""
    threads = {name: str(args.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    options = ("model", "batch_size", "tier", "threads", "steps")
    arguments = [f"--{name.replace('_', '-')}={getattr(args, name)}" for name in options]
    command = [sys.executable, __file__, f"--side={side}", *arguments]
    done = subprocess.run(command, env={**os.environ, **threads}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(args):
    """Seconds of each timed step and the peak memory of this process."""
    import resource  # Windows has none

    step, versions = (minicnn_step if args.side == "minicnn" else torch_step)(args)
    step()
    seconds = []
    for _ in range(args.steps):
        start = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    return {"seconds": seconds, "peak_mib": peak, "loss": loss, "versions": versions}


def batch(args):
    """Random pictures (N, 3, 224, 224), N(0, 1), and labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.standard_normal((args.batch_size, 3, 224, 224), dtype=np.float32)
    return images, rng.integers(0, 1000, args.batch_size)


def minicnn_step(args):
    import numpy as np

    import minicnn
    import minicnn.functional as F

    minicnn.set_tier(args.tier)
    minicnn.manual_seed(0)
    images, labels = batch(args)
    model = getattr(minicnn.models, args.model)(dropout=0.0)
    optimizer = minicnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(minicnn.Tensor(images)), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, {"minicnn": minicnn.__version__, "numpy": np.__version__}


def torch_step(args):
    import torch
    import torchvision

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    layout = torch.channels_last if args.side == "torch-channels-last" else torch.contiguous_format
    images, labels = (torch.from_numpy(array) for array in batch(args))
    images = images.to(memory_format=layout)
    model = getattr(torchvision.models, args.model)(dropout=0.0).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, {"torch": torch.__version__, "torchvision": torchvision.__version__}


if __name__ == "__main__":
    main()
