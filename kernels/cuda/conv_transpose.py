"""Launches conv_transpose.cu after conv.cu; mirrors minicnn/ops/conv_transpose.py."""

import math

from minicnn.precision import BFLOAT16, takes_bfloat16

from . import tensor_conv
from .conv import conv2d_grad_x
from .launch import THREADS, CudaFile, blocks

cu = CudaFile("conv_transpose.cu")


@takes_bfloat16
def conv_transpose2d_forward(x, weight, bias, out_size, stride, padding, dilation, groups):
    """y (N, OC, OH, OW)."""
    y_shape = len(x), weight.shape[1] * groups, *out_size
    if x.dtype == BFLOAT16:  # rounded once, with the bias
        return tensor_conv.conv_transpose2d_forward(x, weight, bias, y_shape, stride, padding, dilation, groups)
    y = conv2d_grad_x(x, y_shape, weight, stride, padding, dilation, groups)
    if bias is not None:
        cu.add_bias[blocks(y.size), THREADS](bias, y, y.size, len(bias), math.prod(out_size))
    return y
