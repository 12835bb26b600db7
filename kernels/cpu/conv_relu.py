"""Convolution, residual and ReLU on the processor; mirrors minicnn/ops/conv_relu.py. The sum and the ReLU end
the convolution (convolution/epilogue.py): they cost no pass over memory, but that the residual is read.

In bfloat16 the sum with a residual has to be rounded once, behind it. convolution/bfloat16.py adds it to its float32
sums; elsewhere the convolution is float32, of the same numbers, and the pass writes bfloat16. Without a residual its
result is rounded already, and a ReLU changes no digit.
"""

from minicnn.precision import BFLOAT16, takes_bfloat16, wide

from .activation import relu_forward
from .conv import choose, conv2d_forward, convolved, geometry_of
from .convolution import bfloat16
from .convolution.in_float32 import rounded_factor
from .machine.bfloat16 import narrowed, widened
from .machine.elementwise import elementwise
from .machine.jit import jit
from .machine.kept import plain, readable
from .machine.layout import behind_channels, channels_last


@takes_bfloat16
def conv2d_relu_forward(x, weight, bias, stride, padding, dilation, groups, residual):
    """y (N, OC, OH, OW) = max(weight @ im2col(x) + bias + residual, 0)."""
    geometry = stride, padding, dilation, groups
    if x.dtype != BFLOAT16:
        residual = None if residual is None else channels_last(residual)
        return convolved(x, weight, bias, geometry, residual=residual, relu=True)
    if residual is None:
        y = conv2d_forward(x, weight, bias, *geometry)  # an array of its own, channels-last
        return relu_forward(y, y)
    return _rounded_once(x, weight, bias, geometry, residual)


def _rounded_once(x, weight, bias, geometry, residual):
    """y of bfloat16 x and residual."""
    shared = geometry_of(x.shape, weight.shape, residual.shape[2:], *geometry)
    if choose(len(x), shared, x.dtype) is bfloat16:  # whose sums are float32 as they are stored
        arrays = channels_last(x), readable(weight), plain(wide(bias)), shared, channels_last(residual)
        return behind_channels(bfloat16.conv2d_forward(*arrays))
    return elementwise(_add_relu, residual, conv2d_forward(wide(x), rounded_factor(weight), wide(bias), *geometry))


@jit
def _add_relu(a, b, y):
    """y = max(a + b, 0), rounded where y has fewer digits."""
    for i in range(y.size):
        v = widened(a[i]) + widened(b[i])
        y[i] = narrowed(0 if v <= 0 else v, y)  # NaN stays
