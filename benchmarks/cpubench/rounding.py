"""How much the fast tier's convolutions round: float32 beside the pages' float64, on layers like those of the nets.

Printed is the largest difference over the largest result, of each pass, and the algorithm that was chosen.
"""

from collections import namedtuple

import numpy as np

from minicnn.console import say

from .layers import PASSES, normal
from .turns import write


class Case(namedtuple("Case", "n c size oc k stride groups", defaults=(1, 1))):
    """A convolution of images (N, C, S, S) with OC kernels (C/groups, K, K); stride and groups are 1 by default."""

    def __str__(self):
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        return f"{self.n} x {self.c} x {self.size}^2 -> {self.oc}, {self.k} x {self.k} / {self.stride}{groups}"


SIZES = [
    (4, 1024, 14, 256, 1), (4, 64, 56, 64, 3), (4, 256, 14, 256, 3), (4, 512, 7, 512, 3), (4, 64, 27, 192, 5),
    (2, 3, 224, 64, 7, 2), (2, 3, 224, 64, 11, 4), (4, 128, 56, 128, 3, 2), (4, 256, 14, 512, 3, 2),
    (4, 256, 28, 256, 3, 2, 256),
]  # fmt: skip
CASES = [Case(*sizes) for sizes in SIZES]


def measure_rounding(args):
    """Print a line for each case, and write. args: out."""
    say(f"{'':60}" + "".join(f"{name:>14}" for name in PASSES))
    rows = []
    for case in CASES:
        algorithm, *errors = rounding(case)
        say(f"{case!s:48}{algorithm:12}" + "".join(f"{error:>14.1e}" for error in errors))
        rows.append({"case": case._asdict(), "algorithm": algorithm, **dict(zip(PASSES, errors, strict=True))})
    write(args.out, "rounding", {"rows": rows})


def rounding(case):
    """(algorithm, error of each pass)."""
    from minicnn.kernels.cpu import conv as fast
    from minicnn.ops import conv as page
    from minicnn.ops.geometry import output_size

    geometry = (case.stride,) * 2, ((case.k // 2,) * 2,) * 2, (1, 1), case.groups
    x_shape, weight_shape = (case.n, case.c, case.size, case.size), (case.oc, case.c // case.groups, case.k, case.k)
    out_size = output_size("conv2d", x_shape[2:], weight_shape[2:], *geometry[:3])
    arrays = normal(x_shape, weight_shape, (case.n, case.oc, *out_size))
    chosen = fast.choose(case.n, fast.geometry_of(x_shape, weight_shape, out_size, *geometry))
    pairs = zip(passes(fast, *arrays, geometry), passes(page, *map(np.float64, arrays), geometry), strict=True)
    errors = (float(np.abs(value - exact).max() / np.abs(exact).max()) for value, exact in pairs)
    return chosen.__name__.rpartition(".")[2], *errors


def passes(module, x, weight, grad_out, geometry):
    yield module.conv2d_forward(x, weight, None, *geometry)
    yield module.conv2d_grad_x(grad_out, x.shape, weight, *geometry)
    yield module.conv2d_grad_weight(grad_out, x, weight.shape, *geometry)
