"""Transposed convolution: conv.py's gradient with respect to x, and a bias; mirrors minicnn/ops/conv_transpose.py."""

from .conv import conv2d_grad_x
from .machine import threads
from .machine.jit import jit
from .machine.layout import contiguous, rows


def conv_transpose2d_forward(x, weight, bias, out_size, stride, padding, dilation, groups):
    """y (N, OC, OH, OW)."""
    y_shape = len(x), weight.shape[1] * groups, *out_size
    y = conv2d_grad_x(x, y_shape, weight, stride, padding, dilation, groups)
    if bias is not None:
        bias, matrix = contiguous(bias), rows(y)  # (N*OH*OW, OC), a view: y is channels-last
        least = threads.LEAST // matrix.shape[1]  # rows
        threads.run_chunks(lambda start, stop: _add_bias(bias, matrix[start:stop]), len(matrix), least)
    return y


@jit
def _add_bias(bias, matrix):
    for row in matrix:
        for c in range(row.size):
            row[c] += bias[c]
