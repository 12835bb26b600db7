"""How much the fast tier's products round, on layers like those of the nets: beside the pages' NumPy in float64.

float32     the largest difference over the largest result, of each pass, and the algorithm that was chosen
bfloat16    both again, the differences twice: from the exact product of the rounded factors, before the result itself
            is rounded to bfloat16; and all roundings together, from the exact product of the float32 numbers

What a bfloat16 result was before it was rounded is not known, but between which two numbers it was: those halfway to
its neighbours. An exact product between these is no difference; one beyond differs from the nearer of the two.
"""

from collections import namedtuple

import numpy as np

from minicnn.console import say
from minicnn.ops import conv, linear
from minicnn.ops.geometry import output_size
from minicnn.precision import BFLOAT16, narrow

from .arrays import called, channels_last, normal
from .turns import write

PASSES = ("forward", "grad_x", "grad_weight")


class Case(namedtuple("Case", "n c size oc k stride groups", defaults=(1, 1))):
    """A convolution of images (N, C, S, S) with OC kernels (C/groups, K, K); stride and groups are 1 by default."""

    def __str__(self):
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        return f"{self.n} x {self.c} x {self.size}^2 -> {self.oc}, {self.k} x {self.k} / {self.stride}{groups}"

    def arrays(self):
        """x, weight and grad_out, float32, channels-last as between two layers."""
        x_shape = (self.n, self.c, self.size, self.size)
        weight_shape = (self.oc, self.c // self.groups, self.k, self.k)
        out_size = output_size("conv2d", x_shape[2:], weight_shape[2:], *self.geometry[:3])
        x, weight, grad_out = normal(x_shape, weight_shape, (self.n, self.oc, *out_size))
        return channels_last(x), weight, channels_last(grad_out)

    @property
    def geometry(self):
        """stride, padding, dilation, groups: the last arguments of the page's functions."""
        return (self.stride,) * 2, ((self.k // 2,) * 2,) * 2, (1, 1), self.groups

    def algorithm(self, x, weight, grad_out):
        """The name of the fast tier's algorithm for arrays of that dtype."""
        from minicnn.kernels.cpu import conv as kernels  # which look at $MINICNN_CPU: main() reports what it cannot be

        geometry = kernels.geometry_of(x.shape, weight.shape, grad_out.shape[2:], *self.geometry)
        return kernels.choose(self.n, geometry, x.dtype).__name__.rpartition(".")[2]

    def passes(self, tier, x, weight, grad_out):
        """The results of the three passes."""
        yield called(conv.conv2d_forward, tier)(x, weight, None, *self.geometry)
        yield called(conv.conv2d_grad_x, tier)(grad_out, x.shape, weight, *self.geometry)
        yield called(conv.conv2d_grad_weight, tier)(grad_out, x, weight.shape, *self.geometry)


class Linear(namedtuple("Linear", "n c oc")):
    """A linear layer from (N, C) to (N, OC)."""

    def __str__(self):
        return f"linear, {self.n} x {self.c} -> {self.oc}"

    def arrays(self):
        """x, weight and grad_out, float32."""
        return normal((self.n, self.c), (self.oc, self.c), (self.n, self.oc))

    def algorithm(self, x, weight, grad_out):
        """There is one."""
        return "product"

    def passes(self, tier, x, weight, grad_out):
        """The results of the three passes."""
        yield called(linear.linear_forward, tier)(x, weight, None)
        yield called(linear.linear_grad_x, tier)(grad_out, weight)
        yield called(linear.linear_grad_weight, tier)(grad_out, x)


SIZES = [
    (4, 1024, 14, 256, 1), (4, 64, 56, 64, 3), (4, 256, 14, 256, 3), (4, 512, 7, 512, 3), (4, 64, 27, 192, 5),
    (2, 3, 224, 64, 7, 2), (2, 3, 224, 64, 11, 4), (4, 128, 56, 128, 3, 2), (4, 256, 14, 512, 3, 2),
    (4, 256, 28, 256, 3, 2, 256),
]  # fmt: skip
CASES = [Case(*sizes) for sizes in SIZES] + [Linear(64, 4096, 4096), Linear(16, 512, 1000)]


def measure_rounding(args):
    """Print a line for each case, and write. args: out."""
    columns = "".join(f"{name:>22}" for name in PASSES)
    say(f"{'':60}{'float32':>36}{'bfloat16, rounded factors / exact ones':>81}")
    say(f"{'':60}" + "".join(f"{name:>12}" for name in PASSES) + f"{'':12}{columns}")
    rows = []
    for case in CASES:
        algorithms, float32, rounded, exact = rounding(case)
        pairs = "".join(f"{f'{a:.1e} / {b:.1e}':>22}" for a, b in zip(rounded, exact, strict=True))
        first = "".join(f"{error:>12.1e}" for error in float32)
        say(f"{case!s:48}{algorithms[0]:12}{first}  {algorithms[1]:10}{pairs}")
        named = {"float32": float32, "bfloat16, rounded factors": rounded, "bfloat16, exact factors": exact}
        errors = {name: dict(zip(PASSES, each, strict=True)) for name, each in named.items()}
        rows.append({"case": str(case), "algorithms": algorithms, **errors})
    write(args.out, "rounding", {"rows": rows})


def rounding(case):
    """(the algorithms in float32 and in bfloat16, errors of the three passes in float32, in bfloat16 with rounded
    factors, with exact ones)."""
    arrays = case.arrays()
    exact = in_float64(case, arrays)
    float32 = errors(case.passes("fast", *arrays), exact)
    x, weight, grad_out = (narrow(array) for array in arrays)
    of_rounded = in_float64(case, (x, weight, grad_out))
    results = list(case.passes("fast", x, arrays[1], grad_out))  # the weight is float32, and rounded by the product
    algorithms = [case.algorithm(*each) for each in (arrays, (x, weight, grad_out))]
    return algorithms, float32, errors(results, of_rounded, before_rounding), errors(results, exact)


def in_float64(case, arrays):
    return list(case.passes("plain", *(array.astype(np.float64) for array in arrays)))


def differences(result, exact):
    return np.abs(result.astype(np.float64) - exact)


def before_rounding(result, exact):
    """How far `exact` is from whatever rounds to the bfloat16 `result`; of a float32 result the difference."""
    if result.dtype != BFLOAT16:
        return differences(result, exact)
    here = result.astype(np.float64)
    below, above = (
        (here + np.nextafter(result, result.dtype.type(end)).astype(np.float64)) / 2 for end in (-np.inf, np.inf)
    )
    return np.maximum(np.maximum(below - exact, exact - above), 0)


def errors(results, exact, how=differences):
    """Of each pass: the largest difference over the largest result."""
    return [float(how(a, b).max() / np.abs(b).max()) for a, b in zip(results, exact, strict=True)]
