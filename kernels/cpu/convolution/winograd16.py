"""winograd.py for bfloat16 images, where the processor multiplies them as float32 anyway (in_float32.py).

Without an instruction for bfloat16 (machine/unit.py) a multiplication costs as much as in float32, and that three of
four are saved is worth two more passes over images and results. What multiplies bfloat16 itself is sooner done with all
of them.

Rounding is that of winograd.py: 3e-6 of the largest result for 3x3 filters and 8e-6 for 5x5 ones, where products alone
are 3e-7 (bfloat16.py). Results are small differences of sums over the channels, which have rounded before. Nobody sees
it: the result itself is then rounded to 8 digits, by up to 2e-3 of it. Tiles of 2 x 2 results would round a tenth as
much, but take 64 multiplications for 16 results of a 3x3 filter where tiles of 4 x 4 take 36, and move as many more
numbers; other points, or sums cut shorter, do not come as far.
"""

from ..machine.unit import unit
from . import in_float32, winograd


def pays(images, geometry):
    """Whether this is possible, and less work than multiplying every window."""
    every_place = geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
    if unit() in ("amx", "avx512bf16") or not (every_place and images and 0 not in geometry.size):
        return False
    return winograd.pays(images, geometry)


def conv2d_forward(x, weight, bias, geometry):
    """y (N, OH, OW, K) for x (N, H, W, C) and weight (K, C, R, R) float32, R 3 or 5."""
    return in_float32.forward(winograd, x, weight, bias, geometry)


def conv2d_grad_x(grad_out, weight, geometry, bias=None):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, K); plus bias (C,), for conv_transpose.py."""
    return in_float32.grad_x(winograd, grad_out, weight, bias, geometry)


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (K, C, R, R) float32."""
    return in_float32.grad_weight(winograd, grad_out, x, geometry)
