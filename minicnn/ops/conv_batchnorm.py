"""Convolution, batch norm in training, and ReLU: two nodes of the graph that spare each other passes over memory.

    x ──► conv ──► z ──► batch norm [+ residual] ──► ReLU ──► y ──► the next convolution

Batch norm does little with each number, but has to see all of them first: z once for the statistics, before it can be
normalised, and backward the gradient of y and z once for two sums, before grad_z can be made of them. By themselves
these passes take as long as z takes to come out of memory. But the convolution has z in the cache while it makes it,
and the one behind has the gradient of y there while it makes that. So each does the other's first pass.

Forward   z = conv2d(x)     mean, var of z's channels, from the convolution     y as in batchnorm.py
Backward  of the convolution: conv.py's grad_weight and grad_bias. Its grad_x
          1. is added to what other uses of x have given already (a shortcut's, in a residual network), and
          2. if it is the last use of x, and x came out of batch_norm_relu: becomes the gradient behind that ReLU,
                 behind = grad where x > 0, else 0        (x is the y of that page)
             and gives that batch norm's grad_bias = sum behind and grad_weight = sum behind * x_hat
          The batch norm then goes on with its second pass. (gradparts.py: how a node knows what other uses have given)
          All numbers are those of conv.py and batchnorm.py, but for the order in which sums are added up.
Where     On the processor. On a GPU each op goes by itself.
Saves     what conv.py and batchnorm.py save
Mirror    kernels/cpu/conv_batchnorm.py
Test      tests/ops/test_conv_batchnorm.py
Source    Jung et al., "Restructuring batch normalization to accelerate CNN training", MLSys 2019
"""

from typing import Any

import numpy as np

from ..device import device_of
from ..gradmode import is_grad_enabled
from ..precision import by_rule, takes_bfloat16, wide
from ..types import Array, Shape
from ..variable import V, Variable
from .batchnorm import (
    BatchNorm,
    BatchNormReLU,
    batch_norm_forward,
    batch_norm_grad_weight_bias,
    check_residual,
    mean_and_variance,
)
from .cast import as_factor
from .conv import Conv2d, conv2d, conv2d_forward, conv2d_grad_x
from .conv_arguments import checked_geometry
from .linear import weight_of_passes
from .per_channel import checked_apply


def conv2d_batch_norm(
    input: V, conv: tuple[Any, ...], norm: tuple[Any, ...], relu: bool = False, residual: Variable | None = None
) -> V:
    """batch_norm(conv2d(input, *conv), *norm), or batch_norm_relu of it, which takes a residual, too.

    conv: the arguments of ``conv2d`` behind the input, norm: those of ``batch_norm``.
    """
    weight, bias, *numbers = conv
    running_mean, running_var, scale, shift, training, momentum, eps = norm
    input, moments = as_factor(input), None
    if training and is_grad_enabled() and device_of(input.data) == "cpu":
        geometry = checked_geometry("conv2d", (input, weight, bias), *numbers)
        z = Conv2dBesideNorm.apply(input, weight, bias, **geometry)
        moments = z.node and z.node.moments
    else:
        z = conv2d(input, *conv)
    node: type[BatchNorm] = BatchNorm
    inputs: tuple[Any, ...] = (z, scale, shift)
    if relu:
        check_residual(z, residual)
        node, inputs = BatchNormReLU, (*inputs, residual)
    return checked_apply(node, inputs, (running_mean, running_var), training, momentum, eps, moments)


class Conv2dBesideNorm(Conv2d):
    """A convolution between batch norms."""

    moments: tuple[Array, Array] | None = None  # (mean, variance) of the result

    def forward(self, x, weight, bias, stride, padding, dilation, groups):
        factor = weight_of_passes(self, x, weight, may_be_filled=True)
        self.save_for_backward(x, weight, factor)
        self.geometry = stride, padding, dilation, groups
        y, *self.moments = self.run(conv2d_moments_forward, x, factor, bias, *self.geometry)
        return y

    def grad_x(self, grad_out, x, factor):
        edge, parts = self.inputs[0], self.parts
        if parts is None or edge.node is None:
            return super().grad_x(grad_out, x, factor)
        norm = edge.node if isinstance(edge.node, BatchNormReLU) and parts.is_last(edge.node) else None
        arrays = None if norm is None else norm.of_first_pass()
        added = parts.take(edge.node)
        grad, sums = self.run(conv2d_grad_x_completed, grad_out, x.shape, factor, self.geometry, added, arrays)
        if norm is not None:
            parts.sums[norm] = sums
        return grad


@takes_bfloat16
def conv2d_moments_forward(
    x: Array, weight: Array, bias: Array | None, stride: Shape, padding: Any, dilation: Shape, groups: int
) -> tuple[Array, Array, Array]:
    """(y, mean, biased variance): the convolution, and what batch norm wants to know of its channels, (OC,) each."""
    y = by_rule(conv2d_forward, x, weight, bias, stride, padding, dilation, groups)
    return y, *mean_and_variance(wide(y))


@takes_bfloat16
def conv2d_grad_x_completed(
    grad_out: Array, x_shape: Shape, weight: Array, geometry: tuple[Any, ...], added: Array | None, norm: Any
) -> tuple[Array, tuple[Array, Array] | None]:
    """(grad, sums): conv2d_grad_x + added; if x is a batch norm's and a ReLU's y, behind that ReLU, and the two sums.

    geometry: (stride, padding, dilation, groups); added: the gradient of other uses of x, or None; norm: (x, y,
    weight, bias, mean, inv_std) of that batch norm, or None, and then there are no sums; its y may be None, and has the
    sign of weight * x_hat + bias.
    """
    grad = by_rule(conv2d_grad_x, grad_out, x_shape, weight, *geometry)
    if added is not None:
        grad += added  # in place: conv2d_grad_x has just made it
    if norm is None:
        return grad, None
    x, y, scale, shift, mean, inv_std = norm
    y = by_rule(batch_norm_forward, x, scale, shift, mean, inv_std) if y is None else y
    behind = np.where(y <= 0, grad.dtype.type(0), grad)
    return behind, by_rule(batch_norm_grad_weight_bias, behind, x, mean, inv_std)
