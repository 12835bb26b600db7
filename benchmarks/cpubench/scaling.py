"""Speed and peak memory against batch size (ResNet-18) and depth (ResNet-18 to -152, batch 4), as a figure.

Beside each: what theory says. Memory grows by what backward needs of each picture, the outputs of all convolutions and
of all batch norms (float32), and by 12 bytes a parameter (weight, gradient, velocity).
"""

import numpy as np

from .turns import peak, rate, run_one, write

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
DEPTHS = (18, 34, 50, 101, 152)
DEPTH_BATCH = 4


def scale(args):
    """Measure, print, draw and write. args: threads, steps, out."""
    by_batch = [one("resnet18", n, args) for n in BATCHES]
    by_depth = [one(f"resnet{depth}", DEPTH_BATCH, args) for depth in DEPTHS]
    print(f"{'resnet18':12}{'images/s':>10}{'peak MiB':>10}")
    for n, (speed, memory) in zip(BATCHES, by_batch, strict=True):
        print(f"batch {n:<6}{speed:>10.2f}{memory:>10.0f}")
    print(f"{f'batch {DEPTH_BATCH}':12}{'images/s':>10}{'peak MiB':>10}{'theory MiB':>12}")
    theory = [expected_mib(depth, DEPTH_BATCH) for depth in DEPTHS]
    for depth, (speed, memory), expected in zip(DEPTHS, by_depth, theory, strict=True):
        print(f"resnet{depth:<6}{speed:>10.2f}{memory:>10.0f}{expected:>12.0f}")
    slope = np.polyfit(BATCHES, [memory for _, memory in by_batch], 1)[0]
    theory_slope = expected_mib(18, 2) - expected_mib(18, 1)
    print(f"each picture of resnet18 takes {slope:.1f} MiB; what backward must keep: {theory_slope:.1f} MiB")
    print(f"depth: {np.polyfit(theory, [memory for _, memory in by_depth], 1)[0]:.2f} MiB for each MiB of theory")
    write(
        args.out,
        f"scaling_t{args.threads}",
        {"batches": BATCHES, "by_batch": by_batch, "depths": DEPTHS, "by_depth": by_depth},
    )
    draw(args.out / "scaling.png", by_batch, by_depth, theory)


def one(model, batch_size, args):
    """(images/s, peak MiB) of one process that trains."""
    settings = {"task": "train", "model": model, "batch_size": batch_size, "threads": args.threads, "steps": args.steps}
    runs = [run_one("minicnn fast", **settings)]
    return rate(runs, batch_size), peak(runs)


def expected_mib(depth, batch_size):
    """What a training step must hold: parameters three times, and what backward needs of each picture."""
    import minicnn
    from minicnn import nn

    model, numbers = getattr(minicnn.models, f"resnet{depth}")(), []

    def count(name, layer, x, y):
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
            numbers.append(y.size)

    with minicnn.no_grad(), nn.watch(model.eval(), count):
        model(minicnn.Tensor(np.zeros((1, 3, 224, 224), np.float32)))
    parameters = sum(p.size for p in model.parameters())
    return (12 * parameters + 4 * batch_size * sum(numbers)) / 2**20


def draw(path, by_batch, by_depth, theory):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    (speed, memory), (depth_speed, depth_memory) = figure.subplots(2, 2)
    for axes, values, label in ((speed, 0, "images/s"), (memory, 1, "peak memory, MiB")):
        axes.plot(BATCHES, [point[values] for point in by_batch], "o-")
        axes.set(
            xlabel="batch size, ResNet-18", ylabel=label, xscale="log" if values == 0 else "linear", ylim=(0, None)
        )
    depth_speed.plot(DEPTHS, [point[0] for point in by_depth], "o-")
    depth_speed.set(xlabel=f"depth, batch {DEPTH_BATCH}", ylabel="images/s", ylim=(0, None))
    depth_memory.plot(DEPTHS, [point[1] for point in by_depth], "o-", label="measured")
    depth_memory.plot(DEPTHS, theory, "--", label="weights, gradients, velocities, saved activations")
    depth_memory.set(xlabel=f"depth, batch {DEPTH_BATCH}", ylabel="peak memory, MiB", ylim=(0, None))
    depth_memory.legend()
    figure.savefig(path, dpi=120)
    print(f"figure: {path}")
