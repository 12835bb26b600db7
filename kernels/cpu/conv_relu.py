"""Convolution, residual and ReLU on the processor; mirrors minicnn/ops/conv_relu.py. The sum and the ReLU are one pass
over the convolution's result, in place: it reads e and the residual's e, and writes e (e: the bytes of one array).

In bfloat16 the sum with a residual has to be rounded once, behind it: there the convolution is float32, of the same
numbers, and the pass writes bfloat16. Without a residual its result is rounded already, and a ReLU changes no digit.
"""

from minicnn.precision import BFLOAT16, narrow, takes_bfloat16, wide

from .activation import relu_forward
from .conv import conv2d_forward
from .machine import threads
from .machine.bfloat16 import narrowed, widened
from .machine.elementwise import elementwise
from .machine.jit import jit
from .machine.layout import flat


@takes_bfloat16
def conv2d_relu_forward(x, weight, bias, stride, padding, dilation, groups, residual):
    """y (N, OC, OH, OW) = max(weight @ im2col(x) + bias + residual, 0)."""
    geometry = stride, padding, dilation, groups
    if residual is None:
        y = conv2d_forward(x, weight, bias, *geometry)  # an array of its own, channels-last
        return relu_forward(y, y)
    if x.dtype == BFLOAT16:
        return elementwise(_add_relu, residual, conv2d_forward(wide(x), wide(narrow(weight)), wide(bias), *geometry))
    y = conv2d_forward(x, weight, bias, *geometry)
    views = flat(y, residual)

    def work(start, stop):
        _add_relu_in_place(*(view[start:stop] for view in views))

    threads.run_chunks(work, y.size, threads.LEAST)
    return y


@jit
def _add_relu(a, b, y):
    """y = max(a + b, 0), rounded where y has fewer digits."""
    for i in range(y.size):
        v = widened(a[i]) + widened(b[i])
        y[i] = narrowed(0 if v <= 0 else v, y)  # NaN stays


@jit
def _add_relu_in_place(y, residual):  # a loop over three arrays would have to expect that two overlap
    for i in range(y.size):
        v = y[i] + residual[i]
        y[i] = 0 if v <= 0 else v
