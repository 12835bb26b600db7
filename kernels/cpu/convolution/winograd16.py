"""winograd.py for bfloat16 images, where the processor multiplies them as float32 anyway (in_float32.py).

Without an instruction for bfloat16 (machine/unit.py) a multiplication costs as much as in float32, and that three of
four are saved is worth two more passes over images and results. What multiplies bfloat16 itself is sooner done with all
of them.

Rounding is that of winograd.py, at most 9e-6 of the largest result, before each result is rounded to 8 digits.
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
