"""Convolution, residual and ReLU on the processor; mirrors minicnn/ops/conv_relu.py. The sum and the ReLU are one pass
over the convolution's result, in place: it reads e and the residual's e, and writes e (e: the bytes of one array)."""

from .activation import relu_forward
from .conv import conv2d_forward
from .machine import threads
from .machine.jit import jit
from .machine.layout import flat


def conv2d_relu_forward(x, weight, bias, stride, padding, dilation, groups, residual):
    """y (N, OC, OH, OW) = max(weight @ im2col(x) + bias + residual, 0)."""
    y = conv2d_forward(x, weight, bias, stride, padding, dilation, groups)  # an array of its own, channels-last
    if residual is None:
        return relu_forward(y, y)
    views = flat(y, residual)

    def work(start, stop):
        _add_relu(*(view[start:stop] for view in views))

    threads.run_chunks(work, y.size, threads.LEAST)
    return y


@jit
def _add_relu(y, residual):
    """y = max(y + residual, 0), in place."""
    for i in range(y.size):
        v = y[i] + residual[i]
        y[i] = 0 if v <= 0 else v  # NaN stays
