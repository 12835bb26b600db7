"""What a training step asks of a GPU, counted without one: launches, copies, waits, memory.

    python benchmarks/launches.py                                      a table; seconds, neither GPU nor compiler
    python benchmarks/launches.py --networks resnet50 --kernels        and how often each kernel is launched
    python benchmarks/launches.py --out benchmarks/results             after a change: the table that a test holds
    python benchmarks/launches.py --time                               with CuPy: the host's milliseconds a step

A launch costs the host some microseconds, whatever the kernel does; a wait lets the GPU run dry. So the counts are not
to grow: tests/benchmarks/test_launches.py compares them with results/launches.json. Where one has fallen, ``--out``
writes the new table, to be committed with the change that did it.

A step is zero_grad, forward, cross-entropy, backward, SGD with momentum, and then the loss, as a number: the one wait.
It is the fourth, of BATCH pictures of SIZE x SIZE: the number of launches hardly depends on either. "library" are calls
of the array library that would be launches, "new memory" what a pool without gaps asks of the driver. One thing is not
counted, as chance decides on it: where the gradients lie elsewhere than in the step before, the optimiser writes their
addresses anew, by one copy of at most 5 KB that nobody waits for.
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path

import numpy as np

from minicnn.console import say

NETWORKS, PRECISIONS = ("alexnet", "resnet18", "resnet20", "resnet50"), ("float32", "bfloat16")
BATCH, SIZE, CLASSES = 2, 64, 1000
STEPS, TIMED = 3, 10  # before the one that is counted; that are timed
COLUMNS = {
    "launches": "launches",
    "library": "library",
    "waits": "waits",
    "uploads": "uploads",
    "uploaded_bytes": "bytes",
    "arrays": "arrays",
    "array_mb": "MB",
    "grown": "new memory",
}


def training_step(network):
    """A function that trains one step on random pictures."""
    import minicnn
    from minicnn import functional as F

    minicnn.manual_seed(0)
    model = minicnn.models.create(network, CLASSES).to("cuda").train()
    optimizer = minicnn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    rng = np.random.default_rng(0)
    pictures = minicnn.Tensor(rng.standard_normal((BATCH, 3, SIZE, SIZE), np.float32)).to("cuda")
    labels = minicnn.Tensor(rng.integers(0, CLASSES, BATCH)).to("cuda")

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(pictures), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def counted(network, precision):
    """{column: figure} of a step, and "kernels", {name: launches}."""
    import minicnn
    from minicnn.kernels.cuda.counting import counting

    with counting(execute=False) as counts, minicnn.precision(precision):
        step = training_step(network)
        for _ in range(STEPS):
            step()
        counts.reset()
        step()
        figures = {
            "launches": counts.launches.total(), "library": counts.library.total(), "waits": counts.waits,
            "uploads": counts.uploads, "uploaded_bytes": counts.uploaded_bytes, "arrays": counts.arrays,
            "array_mb": round(counts.array_bytes / 1e6), "grown": counts.grown,
        }  # fmt: skip
        each = {**counts.launches, **{f"{name} (library)": n for name, n in counts.library.items()}}
    return {**figures, "kernels": dict(sorted(each.items(), key=lambda item: (-item[1], item[0])))}


def timed(network, precision):
    """The host's milliseconds a step, the best of some; without the wait at its end, if the GPU is quicker."""
    import minicnn

    with minicnn.precision(precision):
        step = training_step(network)
        seconds = []
        for _ in range(STEPS + TIMED):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    return 1e3 * min(seconds[STEPS:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--kernels", action="store_true", help="list each kernel's launches")
    parser.add_argument("--time", action="store_true", help="time the host on CuPy's arrays instead")
    parser.add_argument("--out", type=Path, help="folder to write launches.json into")
    args = parser.parse_args()
    cases = list(itertools.product(args.networks, args.precisions))
    if args.time:
        for network, precision in cases:
            say(f"{network:9} {precision:9} {timed(network, precision):8.1f} ms a step on the host")
        return
    os.environ["MINICNN_EMULATE_GPU"] = "1"
    say(f"{'':19}" + "".join(f"{title:>11}" for title in COLUMNS.values()))
    found = {}
    for network, precision in cases:
        found[f"{network} {precision}"] = row = counted(network, precision)
        say(f"{network:9} {precision:9}" + "".join(f"{row[column]:11}" for column in COLUMNS))
        if args.kernels:
            say("\n".join(f"{n:7}  {name}" for name, n in row["kernels"].items()))
    if args.out:
        (args.out / "launches.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
