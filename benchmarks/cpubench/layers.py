"""Each convolution of the three nets alone: forward, gradient of the input, gradient of the weights.

    python layers.py '{"side": "minicnn fast", "threads": 2, "repeats": 5}'       one side, prints JSON

"of GEMM" is the time of a matrix product with as many multiplications, at the speed at which np.matmul multiplies
2048 x 2048 matrices on as many threads: a convolution that beats it has multiplied less (Winograd).
"""

import json
import statistics
import sys
import time
from collections import namedtuple
from functools import partial

import numpy as np

WARM_UP = 0.15  # seconds
PASSES = ("forward", "grad_x", "grad_weight")
SIDES = ("minicnn plain", "minicnn fast", "torch", "torch channels-last")


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
    from minicnn.console import say  # not above: this file is a worker's program as well

    from .turns import run_one, write

    runs = {side: [] for side in args.sides if side in SIDES}
    for side in args.rounds * list(runs):
        runs[side].append(run_one(side, program=__file__, threads=args.threads, repeats=args.steps))
    say("\n".join(layer_table(runs)))
    write(args.out, f"layers_t{args.threads}", {"threads": args.threads, "runs": runs})


def layer_table(runs):
    """Lines: milliseconds of each side, and how many times as fast as the faster PyTorch and as the matrix product."""
    sides = list(runs)
    gemm = statistics.median(run["gemm_flops"] for side in runs for run in runs[side])
    yield f"{'':56}" + "".join(f"{side:>21}" for side in sides) + f"{'of PyTorch':>12}{'of GEMM':>9}"
    for i, layer in enumerate(LAYERS):
        for name in PASSES:
            times = {s: statistics.median(t for run in runs[s] for t in run["seconds"][i][name]) for s in sides}
            theirs = min((times[side] for side in sides if side.startswith("torch")), default=float("nan"))
            ours = times.get("minicnn fast", times[sides[0]])
            cells = "".join(f"{1000 * times[side]:>18.2f} ms" for side in sides)
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
    from minicnn.device import implementation
    from minicnn.ops import conv

    x, weight, grad_out = arrays(layer)
    padding = ((layer.padding, layer.padding),) * 2
    geometry = (layer.stride, layer.stride), padding, (1, 1), 1
    tier = side.removeprefix("minicnn ")
    if tier == "fast":  # as the layers around it hand them over
        x, grad_out = (np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) for a in (x, grad_out))
    functions = [implementation(getattr(conv, f"conv2d_{name}"), "cpu", tier) for name in PASSES]
    given = (x, weight, None), (grad_out, x.shape, weight), (grad_out, x, weight.shape)
    return [partial(function, *each, *geometry) for function, each in zip(functions, given, strict=True)]


def torch_passes(layer, side, threads):
    import torch

    torch.set_num_threads(threads)
    layout = torch.channels_last if side.endswith("channels-last") else torch.contiguous_format
    x, weight, grad_out = (torch.from_numpy(a).contiguous(memory_format=layout) for a in arrays(layer))
    pairs = [layer.stride] * 2, [layer.padding] * 2, [1, 1], False, [0, 0], 1

    forward = partial(torch.nn.functional.conv2d, x, weight, None, layer.stride, layer.padding)
    gradients = partial(torch.ops.aten.convolution_backward, grad_out, x, weight, None, *pairs)
    return forward, partial(gradients, [True, False, False]), partial(gradients, [False, True, False])


def arrays(layer):
    """x, weight and grad_out."""
    kernels = (layer.oc, layer.c, layer.k, layer.k)
    return normal((layer.n, layer.c, *[layer.size] * 2), kernels, (layer.n, layer.oc, *[layer.out_size] * 2))


def normal(*shapes):
    """An array of each shape, float32, N(0, 1)."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def gemm_flops(threads, repeats):
    """FLOP/s of np.matmul on float32 matrices of 2048 x 2048, with as many of BLAS's threads."""
    from threadpoolctl import threadpool_limits

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
