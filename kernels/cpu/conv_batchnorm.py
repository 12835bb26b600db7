"""A convolution between two batch norms; mirrors minicnn/ops/conv_batchnorm.py.

A cache block of the convolution's result is looked at (convolution/epilogue.py) before it leaves the second cache. What
that saves of the table at the top of batchnorm.py (e: the bytes of an array, y of the batch norm behind or before):

    forward     statistics                             1e less       of 3e [4e] for all of the batch norm behind
    backward    gradients of two uses added up         2e less       3e by themselves
                sums (grad_weight, grad_bias)          1e [2e] less  of 5e [7e] for all of the batch norm before

Where a convolution is done by an algorithm without an epilogue in that pass, or a block has not all of the channels,
the same is done in a pass of its own, with the same loops.
"""

import numpy as np

from minicnn.precision import takes_bfloat16

from .conv import choose, convolved, geometry_of
from .convolution import bfloat16, depthwise, pointwise, winograd, winograd16
from .convolution.epilogue import Epilogue, Look
from .machine.kept import readable
from .machine.layout import behind_channels, channels_last
from .normalisation.gradient import behind_and_sums, of_sums, scale_of, shift_of
from .normalisation.rows import SHORT, matrix_of, some
from .normalisation.statistics import mean_and_variance, of_parts, part_of

WITH_EPILOGUE = bfloat16, depthwise, pointwise, winograd, winograd16  # in grad_x


@takes_bfloat16
def conv2d_moments_forward(x, weight, bias, stride, padding, dilation, groups):
    """(y, mean, biased variance) of the convolution, the latter (OC,)."""
    if len(weight) < SHORT:  # batch norm's own pass takes several rows of so few channels for one
        y = convolved(x, weight, bias, (stride, padding, dilation, groups))
        return y, *mean_and_variance(y)
    look = Look(lambda block, start: part_of(block))
    y = convolved(x, weight, bias, (stride, padding, dilation, groups), look=look)
    return y, *of_parts(look.results(matrix_of(y)), y)


@takes_bfloat16
def conv2d_grad_x_completed(grad_out, x_shape, weight, geometry, added, norm):
    """(grad, sums): grad_x + added, and behind the batch norm's ReLU; what its first pass finds, or None."""
    shared = geometry_of(x_shape, weight.shape, grad_out.shape[2:], *geometry)
    algorithm = choose(len(grad_out), shared, grad_out.dtype)
    arrays = channels_last(grad_out), readable(weight), shared
    look = None if norm is None else Look(_first_pass(*norm))
    epilogue = Epilogue.of(None, None if added is None else channels_last(added), look=look)
    if algorithm in WITH_EPILOGUE:
        grad = algorithm.conv2d_grad_x(*arrays, epilogue)
    else:
        grad = algorithm.conv2d_grad_x(*arrays)
        epilogue.apply_to_all(grad)
    grad = behind_channels(grad)
    if look is None:
        return grad, None
    found = look.results(matrix_of(grad))
    return grad, of_sums(np.sum(found, axis=0) if found else np.zeros((2, x_shape[1])), norm[-1])


def _first_pass(x, y, weight, bias, mean, inv_std):
    """What is to be seen in a block of the gradient: sums (2, C) float64, while it becomes that behind the ReLU."""
    x, y = matrix_of(x), matrix_of(y)
    scale, shift = (None, None) if y is not None else (scale_of(inv_std, weight), shift_of(mean, bias))

    def see(block, start):
        own, sums = (start, start + len(block)), np.zeros((2, block.shape[1]))
        behind_and_sums(None, block, some(x, *own), some(y, *own), mean, scale, shift, sums)
        return sums

    return see
