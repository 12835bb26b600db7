"""Adaptive average-pooling: told the size of the output, it works out the windows.

Shapes    x (N, C, H, W)   ->   y (N, C, OH, OW), each channel by itself
Forward   y = rows @ x @ columns^T, where row i of `rows` averages the pixels floor(i*H/OH) to ceil((i+1)*H/OH) - 1
Backward  grad_x = rows^T @ grad_out @ columns
Saves     nothing
Mirrors   kernels/cpu/adaptive_avg_pool.py   kernels/numba_cuda/adaptive_avg_pool.py   kernels/cuda/adaptive_avg_pool.cu
Test      tests/ops/test_adaptive_avg_pool.py
"""

import numpy as np

from ..autograd import Function
from ..types import Array, DTypeLike, Shape
from ..variable import V
from .geometry import check_images, pair
from .summation import mean


def adaptive_avg_pool2d(input: V, output_size: int | tuple[int | None, int | None] | None) -> V:
    """Average-pool images (N, C, H, W) to (N, C, OH, OW), whatever their size; ``None`` keeps a size as it is.

    The windows divide the image evenly; they overlap where it is not a multiple, and repeat pixels where it is
    smaller than the output.
    """
    check_images("adaptive_avg_pool2d", input)
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)  # None: (None, None)
    if len(wanted) != 2:
        raise TypeError(f"adaptive_avg_pool2d: output_size must be an int or a pair of ints, got {output_size!r}")
    sizes = [have if want is None else want for want, have in zip(wanted, input.data.shape[2:], strict=True)]
    out_size = pair("adaptive_avg_pool2d", "output_size", sizes, 1)
    if 0 in input.data.shape[1:]:
        raise ValueError(f"adaptive_avg_pool2d: input of shape {input.data.shape} has nothing to average")
    return AdaptiveAvgPool2d.apply(input, out_size=out_size)


class AdaptiveAvgPool2d(Function):
    takes_bfloat16 = True

    def forward(self, x, out_size):
        self.x_shape = x.shape
        return self.run(adaptive_avg_pool2d_forward, x, out_size)

    def backward(self, grad_out):
        return self.run(adaptive_avg_pool2d_backward, grad_out, self.x_shape)


def adaptive_avg_pool2d_forward(x: Array, out_size: tuple[int, int]) -> Array:
    """y (N, C, OH, OW) = rows @ x @ columns^T, or the mean of each whole image."""
    if out_size == (1, 1):  # the usual case, and as right as a long sum can be
        return mean(x, (2, 3), keepdims=True)
    rows, columns = (averages(*sizes, x.dtype) for sizes in zip(x.shape[2:], out_size, strict=True))
    return rows @ x @ columns.T  # (OH, H) @ (N, C, H, W) @ (W, OW)


def adaptive_avg_pool2d_backward(grad_out: Array, x_shape: Shape) -> Array:
    """grad_x (N, C, H, W) = rows^T @ grad_out @ columns."""
    rows, columns = (averages(*s, grad_out.dtype) for s in zip(x_shape[2:], grad_out.shape[2:], strict=True))
    return rows.T @ grad_out @ columns  # (H, OH) @ (N, C, OH, OW) @ (OW, W)


def averages(size: int, out: int, dtype: DTypeLike) -> Array:
    """(out, size): row i holds 1/length at the pixels that output i averages, and 0 elsewhere."""
    matrix = np.zeros((out, size), dtype)
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)  # the second rounded up
        matrix[i, start:end] = 1 / (end - start)
    return matrix
