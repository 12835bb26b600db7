"""Speed and peak memory against batch size (ResNet-18) and depth (ResNet-18 to -152, batch 4), as a figure.

Beside each: what theory says. Memory grows by what backward needs of each picture, the outputs of all convolutions and
of all batch norms (float32), and by 12 bytes a parameter (weight, gradient, velocity); what does not depend on batch or
depth (interpreter, work space) is taken from the smallest measurement. With depth, time grows as the multiplications of
all convolutions, from that of the shallowest net on. With the batch it is some constant time (weights are put into
order and updated once a step) and the same time for each picture: both are fitted to what was measured.
"""

from typing import NamedTuple

import numpy as np

from minicnn.console import say

from .figures import peak, rate
from .turns import run_one, write

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
DEPTHS = (18, 34, 50, 101, 152)
DEPTH_BATCH = 4


def scale(args):
    """Measure, print, draw and write. args: threads, steps, out."""
    by_batch = [one("resnet18", n, args) for n in BATCHES]
    by_depth = [one(f"resnet{depth}", DEPTH_BATCH, args) for depth in DEPTHS]
    nets = {depth: Net.of(depth) for depth in DEPTHS}
    batch_mib = [nets[18].mib(n) for n in BATCHES]
    depth_mib = [net.mib(DEPTH_BATCH) for net in nets.values()]
    depth_speed = [by_depth[0][0] * nets[DEPTHS[0]].multiplications / net.multiplications for net in nets.values()]
    constant, each = fitted_seconds(BATCHES, [speed for speed, _ in by_batch])
    batch_speed = [n / (constant + n * each) for n in BATCHES]
    say(f"{'':12}{'images/s':>10}{'theory':>10}{'peak MiB':>10}{'theory':>10}")
    labels = [f"batch {n}" for n in BATCHES] + [f"resnet{depth}" for depth in DEPTHS]
    theory = zip(batch_speed + depth_speed, batch_mib + depth_mib, strict=True)
    for label, (speed, memory), (expected, mib) in zip(labels, by_batch + by_depth, theory, strict=True):
        say(f"{label:12}{speed:>10.2f}{expected:>10.2f}{memory:>10.0f}{mib:>10.0f}")
    memory, by_mib = ([mib for _, mib in points] for points in (by_batch, by_depth))
    slope, theory = np.polyfit(BATCHES, memory, 1)[0], np.polyfit(BATCHES, batch_mib, 1)[0]
    say(f"a step of ResNet-18 takes {1000 * constant:.0f} ms and {1000 * each:.1f} ms for each picture")
    fit, ratio = f"(R^2 {r_squared(BATCHES, memory):.4f})", np.polyfit(depth_mib, by_mib, 1)[0]
    say(f"each picture takes {slope:.1f} MiB {fit}; backward must keep {theory:.1f} MiB")
    say(f"depth: {ratio:.2f} MiB for each MiB of theory (R^2 {r_squared(depth_mib, by_mib):.4f})")
    results = {"batches": BATCHES, "by_batch": by_batch, "batch_mib": batch_mib, "batch_speed": batch_speed}
    results |= {"depths": DEPTHS, "by_depth": by_depth, "depth_mib": depth_mib, "depth_speed": depth_speed}
    write(args.out, f"scaling_t{args.threads}", results)
    draw(args.out / "scaling.png", results)


def one(model, batch_size, args):
    """(images/s, peak MiB) of one process that trains."""
    settings = {"task": "train", "model": model, "batch_size": batch_size, "threads": args.threads, "steps": args.steps}
    runs = [run_one("minicnn float32 fast", **settings)]
    return rate(runs, batch_size), peak(runs)


def fitted_seconds(batches, speeds):
    """(a, b) of seconds = a + b * batch, with the least relative errors."""
    seconds = np.array(batches) / np.array(speeds)
    columns = np.stack([1 / seconds, np.array(batches) / seconds], axis=1)
    return np.linalg.lstsq(columns, np.ones(len(batches)), rcond=None)[0]


def r_squared(x, y):
    """How much of y's variance a straight line explains."""
    return np.corrcoef(x, y)[0, 1] ** 2


class Net(NamedTuple):
    """What counts of a net, for one picture: numbers that backward needs, multiplications; and its parameters."""

    kept: int
    multiplications: int
    parameters: int

    @classmethod
    def of(cls, depth):
        import minicnn
        from minicnn import nn

        model, kept, multiplications = getattr(minicnn.models, f"resnet{depth}")(), [], []

        def count(name, layer, x, y):
            if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
                kept.append(y.size)
            if isinstance(layer, nn.Conv2d):
                multiplications.append(y.size * layer.weight.size // layer.weight.shape[0])

        with minicnn.no_grad(), nn.watch(model.eval(), count):
            model(minicnn.Tensor(np.zeros((1, 3, 224, 224), np.float32)))
        return cls(sum(kept), sum(multiplications), sum(p.size for p in model.parameters()))

    def mib(self, batch_size):
        """What a training step must hold: parameters three times, and what backward needs of each picture."""
        return (12 * self.parameters + 4 * batch_size * self.kept) / 2**20


def draw(path, results):
    """Four plots of what scale() writes, theory as broken lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    plots = figure.subplots(2, 2)
    held = "weights, gradients, velocities, activations"
    for (first, second), key, of, label, why in (
        (plots[0], "batch", "batches", "batch size, ResNet-18", "a constant time, and one for each picture"),
        (plots[1], "depth", "depths", f"depth, batch {DEPTH_BATCH}", "by multiplications"),
    ):
        speed, memory = zip(*results[f"by_{key}"], strict=True)
        mib = np.array(results[f"{key}_mib"])
        for axes, measured, theory, name, quantity in (
            (first, speed, results[f"{key}_speed"], why, "images/s"),
            (second, memory, mib + memory[0] - mib[0], held, "peak memory, MiB"),
        ):
            axes.plot(results[of], measured, "o-", label="measured")
            axes.plot(results[of], theory, "--", label=name)
            axes.set(xlabel=label, ylabel=quantity, ylim=(0, None))
            axes.legend()
    plots[0, 0].set_xscale("log")
    figure.savefig(path, dpi=120)
    say(f"figure: {path}")
