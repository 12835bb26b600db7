"""Transposed convolution: conv.py's gradient with respect to x, and a bias; mirrors minicnn/ops/conv_transpose.py."""

from minicnn.precision import BFLOAT16, takes_bfloat16, wide

from .conv import choose, conv2d_grad_x, geometry_of
from .convolution.epilogue import Epilogue
from .machine import threads
from .machine.jit import jit
from .machine.kept import plain, readable
from .machine.layout import behind_channels, channels_last, rows


@takes_bfloat16
def conv_transpose2d_forward(x, weight, bias, out_size, stride, padding, dilation, groups):
    """y (N, OC, OH, OW)."""
    y_shape = len(x), weight.shape[1] * groups, *out_size
    if x.dtype == BFLOAT16:  # the bias is added before the only rounding
        geometry = geometry_of(y_shape, weight.shape, x.shape[2:], stride, padding, dilation, groups)
        algorithm = choose(len(x), geometry, x.dtype)
        arrays = channels_last(x), readable(weight), geometry, Epilogue(plain(wide(bias)))
        return behind_channels(algorithm.conv2d_grad_x(*arrays))
    y = conv2d_grad_x(x, y_shape, weight, stride, padding, dilation, groups)
    if bias is not None:
        bias, matrix = plain(bias), rows(y)  # (N*OH*OW, OC), a view: y is channels-last
        least = threads.LEAST // matrix.shape[1]  # rows
        threads.run_chunks(lambda start, stop: _add_bias(bias, matrix[start:stop]), len(matrix), least)
    return y


@jit
def _add_bias(bias, matrix):
    for row in matrix:
        for c in range(row.size):
            row[c] += bias[c]
