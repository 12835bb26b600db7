"""Each convolution of the three nets alone: forward, gradient of the input, gradient of the weights.

    cd benchmarks
    python -m cpubench.layers '{"side": "minicnn float32 fast", "threads": 2, "repeats": 5}'       one side, prints JSON

"of GEMM" is the time of a matrix product with as many multiplications, at the speed at which np.matmul multiplies
2048 x 2048 float32 matrices on as many threads: a convolution that beats it has multiplied less (Winograd), or has
multiplied bfloat16 numbers by instructions of their own. In bfloat16, arrays are bfloat16 and weights float32 with
minicnn, and both are bfloat16 with PyTorch, as in a training step.
"""

import json
import statistics
import sys
import time
from collections import namedtuple
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from minicnn.console import say
from minicnn.ops import conv
from minicnn.precision import narrow

from .arrays import called, channels_last, normal
from .sides import chosen
from .turns import run_one, write

WARM_UP = 0.15  # seconds
PASSES = ("forward", "grad_x", "grad_weight")
WAYS = "minicnn {} plain", "minicnn {} fast", "torch {} NCHW", "torch {} channels-last"
SIDES = [way.format(precision) for precision in ("float32", "bfloat16") for way in WAYS]


class Layer(namedtuple("Layer", "net n c size oc k stride padding")):
    """A convolution of images (N, C, S, S) with OC kernels K x K, of a net of that name."""

    @property
    def out_size(self):
        return (self.size + 2 * self.padding - self.k) // self.stride + 1

    @property
    def flops(self):
        """Of one pass: two for each multiplication and its addition."""
        return 2 * self.n * self.oc * self.out_size**2 * self.c * self.k**2

    def __str__(self):
        return f"{self.net:9} {self.c:4} x {self.size:3}^2 -> {self.oc:4}, {self.k:2} x {self.k:<2} / {self.stride}"


SIZES = {  # net: pictures of a batch; C, S, OC, K, stride and padding of each convolution
    "alexnet": (64, [
        (3, 224, 64, 11, 4, 2), (64, 27, 192, 5, 1, 2), (192, 13, 384, 3, 1, 1), (384, 13, 256, 3, 1, 1)]),
    "resnet18": (16, [
        (3, 224, 64, 7, 2, 3), (64, 56, 64, 3, 1, 1), (64, 56, 128, 3, 2, 1), (128, 28, 128, 3, 1, 1),
        (256, 14, 256, 3, 1, 1), (512, 7, 512, 3, 1, 1), (64, 56, 128, 1, 2, 0)]),
    "resnet50": (8, [
        (64, 56, 256, 1, 1, 0), (256, 56, 64, 1, 1, 0), (512, 28, 128, 1, 1, 0), (1024, 14, 256, 1, 1, 0),
        (512, 7, 2048, 1, 1, 0), (128, 56, 128, 3, 2, 1)]),
}  # fmt: skip
LAYERS = [Layer(net, n, *sizes) for net, (n, convolutions) in SIZES.items() for sizes in convolutions]


def compare_layers(args):
    """Run every side in turns and print a line for each layer and pass. args: sides, rounds, threads, steps, out."""
    runs = {side: [] for side in SIDES if side in chosen(args.sides, "train")}
    for side in args.rounds * list(runs):
        runs[side].append(run_one(side, program="cpubench.layers", threads=args.threads, repeats=args.steps))
    for precision in ("float32", "bfloat16"):
        if of_one := {side: found for side, found in runs.items() if precision in side}:
            say(f"\n{precision}")
            say("\n".join(layer_table(of_one)))
    write(args.out, f"layers_t{args.threads}", {"threads": args.threads, "runs": runs})


def layer_table(runs):
    """Lines: milliseconds of each side, and how many times as fast as the faster PyTorch and as the matrix product."""
    sides = list(runs)
    gemm = statistics.median(run["gemm_flops"] for side in runs for run in runs[side])
    yield f"{'':56}" + "".join(f"{side:>30}" for side in sides) + f"{'of PyTorch':>12}{'of GEMM':>9}"
    for i, layer in enumerate(LAYERS):
        for name in PASSES:
            times = {s: statistics.median(t for run in runs[s] for t in run["seconds"][i][name]) for s in sides}
            theirs = min((times[side] for side in sides if side.startswith("torch")), default=float("nan"))
            ours = next((times[side] for side in sides if side.endswith("fast")), times[sides[0]])
            cells = "".join(f"{1000 * times[side]:>27.2f} ms" for side in sides)
            yield f"{layer!s:44}{name:12}{cells}{theirs / ours:>12.2f}{layer.flops / gemm / ours:>9.2f}"


def measure(side, threads, repeats):
    """{"gemm_flops": FLOP/s of the matrix product, "seconds": [{pass: [seconds, ...]} of each layer]}."""
    prepare = torch_passes if side.startswith("torch") else minicnn_passes
    seconds = []
    for layer in LAYERS:
        passes = prepare(layer, side, threads)
        seconds.append({name: _times(run, repeats) for name, run in zip(PASSES, passes, strict=True)})
    return {"gemm_flops": gemm_flops(threads, repeats), "seconds": seconds}


def minicnn_passes(layer, side, threads):
    """The three passes, as functions without arguments."""
    _, precision, tier = side.split()
    x, weight, grad_out = inputs(layer)
    x, grad_out = (channels_last(a) if tier == "fast" else a for a in (x, grad_out))
    x, grad_out = (narrow(a) if precision == "bfloat16" else a for a in (x, grad_out))
    geometry = (layer.stride, layer.stride), ((layer.padding, layer.padding),) * 2, (1, 1), 1
    functions = [called(getattr(conv, f"conv2d_{name}"), tier) for name in PASSES]
    given = (x, weight, None), (grad_out, x.shape, weight), (grad_out, x, weight.shape)
    return [partial(function, *each, *geometry) for function, each in zip(functions, given, strict=True)]


def torch_passes(layer, side, threads):
    import torch

    torch.set_num_threads(threads)
    _, precision, layout = side.split()
    as_side = {"dtype": getattr(torch, precision)}
    as_side["memory_format"] = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    x, weight, grad_out = (torch.from_numpy(a).to(**as_side) for a in inputs(layer))
    pairs = [layer.stride] * 2, [layer.padding] * 2, [1, 1], False, [0, 0], 1

    forward = partial(torch.nn.functional.conv2d, x, weight, None, layer.stride, layer.padding)
    gradients = partial(torch.ops.aten.convolution_backward, grad_out, x, weight, None, *pairs)
    return forward, partial(gradients, [True, False, False]), partial(gradients, [False, True, False])


def inputs(layer):
    """x, weight and grad_out, float32."""
    kernels = (layer.oc, layer.c, layer.k, layer.k)
    return normal((layer.n, layer.c, *[layer.size] * 2), kernels, (layer.n, layer.oc, *[layer.out_size] * 2))


def gemm_flops(threads, repeats):
    """FLOP/s of np.matmul on float32 matrices of 2048 x 2048, with as many of BLAS's threads."""
    a, b = np.random.default_rng(0).standard_normal((2, 2048, 2048), dtype=np.float32)
    with threadpool_limits(threads, "blas"):
        return 2 * 2048**3 / statistics.median(_times(lambda: a @ b, repeats))


def _times(run, repeats):
    """Seconds of each, after WARM_UP seconds of the same: threads must have woken, on whatever core, as in a net."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < WARM_UP:
        run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(**json.loads(sys.argv[1]))) + "\n")
