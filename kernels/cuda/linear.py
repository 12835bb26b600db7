"""Launches matmul.cu and linear.cu; mirrors minicnn/ops/linear.py (its matmul is the array library's own)."""

import math

from minicnn.kernels.arguments import as_rows
from minicnn.precision import BFLOAT16, takes_bfloat16

from . import hopper, tensor_conv
from .launch import CudaFile, empty
from .matmul import multiply

cu = CudaFile("linear.cu")


@takes_bfloat16
def weight_as_factor(x, weight, may_be_filled):
    """The weight beside bfloat16 x as the kernels of forward and of grad_x read it: rounded, channels-last."""
    if x.dtype != BFLOAT16 or hopper.is_chosen(x):
        return weight
    return tensor_conv.weight_as_factor(x, weight, may_be_filled)


@takes_bfloat16
def linear_forward(x, weight, bias):
    """y (..., OC) = x @ weight^T + bias."""
    if x.dtype == BFLOAT16 and not hopper.is_chosen(x):  # which multiply knows
        return tensor_conv.linear_forward(x, weight, bias)
    return multiply(as_rows(x), weight, bias, b_is_transposed=True).reshape(*x.shape[:-1], len(weight))


@takes_bfloat16
def linear_grad_x(grad_out, weight):
    """grad_x (..., C) = grad_out @ weight."""
    if grad_out.dtype == BFLOAT16 and not hopper.is_chosen(grad_out):
        return tensor_conv.linear_grad_x(grad_out, weight)
    return multiply(as_rows(grad_out), weight).reshape(*grad_out.shape[:-1], weight.shape[1])


@takes_bfloat16
def linear_grad_weight(grad_out, x):
    """grad_weight (OC, C) = grad_out^T @ x, summed over the leading axes."""
    if grad_out.dtype == BFLOAT16 and not hopper.is_chosen(grad_out):
        return tensor_conv.linear_grad_weight(grad_out, x)
    return multiply(as_rows(grad_out), as_rows(x), a_is_transposed=True)


@takes_bfloat16
def linear_grad_bias(grad_out):
    """grad_bias (OC,) = grad_out summed over the leading axes."""
    if grad_out.dtype == BFLOAT16:
        return tensor_conv.linear_grad_bias(grad_out)
    rows = as_rows(grad_out)
    sums = empty(grad_out, rows.shape[1:])
    cu.column_sums[math.ceil(len(sums) / 32), (32, 8)](rows, sums, *rows.shape)
    return sums
