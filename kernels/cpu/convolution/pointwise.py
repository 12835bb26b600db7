"""1x1 convolution: a matrix product as it stands, without a copy.

Channels-last, the pixels of all images are the rows of a matrix x (N*H*W, C), and a filter looks at one row at a time:

    y (N*H*W, OC) = x @ weight^T + bias        grad_x = grad_out @ weight        grad_weight = grad_out^T @ x

Only the weights, small next to the images, are packed first (matmul.py). Bound by memory where channels are few:
2*C*OC operations for 4*(C + OC) bytes of a pixel. In this way half of ResNet-50's operations are done.

Source    Lin, Chen, Yan, "Network in network", ICLR 2014; He et al. 2015 (bottlenecks)
"""

import math

from ..gemm.matmul import SUMMANDS, multiply, multiply_transposed, padded, panels, transposing_space
from ..gemm.shares import share
from ..machine import memory, threads
from .epilogue import Epilogue

BLOCK_NUMBERS = 1 << 17  # of y, 512 KB, which are in the second cache when the epilogue comes
LEAST_ROWS = 252  # of y in a block, whole register tiles, so that the weights are read for many of them


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False):
    """y (N, H, W, OC) for x (N, H, W, C) and weight (OC, C, 1, 1)."""
    filters, channels = geometry.filters, geometry.channels
    # row k of b = weight^T is channel k: neighbouring weights of a filter; filters are `channels` numbers apart
    b = panels("pointwise.b", weight, 0, (1, 1, channels), (1, 1, 1), filters, channels)
    return _rows_times(x, b, Epilogue.of(bias, residual, relu), channels, filters)


def conv2d_grad_x(grad_out, weight, geometry):
    """grad_x (N, H, W, C) from grad_out (N, H, W, OC)."""
    filters, channels = geometry.filters, geometry.channels
    # row k of b = weight is filter k, as it lies
    b = panels("pointwise.b", weight, 0, (1, 1, filters), (1, 1, channels), channels, 1)
    return _rows_times(grad_out, b, Epilogue(None), filters, channels)


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C, 1, 1) from grad_out (N, H, W, OC) and x (N, H, W, C)."""
    filters, channels = geometry.filters, geometry.channels
    wide, pixels = padded(channels, x.dtype), math.prod(x.shape[:3])  # C as whole panels; N*H*W
    total = memory.empty((filters, wide), x.dtype)  # whole panels
    b, c = (x.reshape(-1), 0, channels), total.reshape(-1)  # x (N*H*W, C); total (OC, wide)
    a = grad_out.reshape(-1)  # (N*H*W, OC), of which columns start ... stop count

    def work(start, stop):  # of the filters, not the pixels: there are no partial sums to be added
        size, space = (pixels, stop - start, channels), transposing_space(x.dtype)
        multiply_transposed((a, start, filters), b, (c, start * wide, wide), size, False, space)

    threads.run_chunks(work, filters)
    if wide > channels:  # cut off the last panel's columns that are no channels
        total, whole = memory.empty((filters, channels), x.dtype), total
        total[...] = whole[:, :channels]
    return total.reshape(filters, channels, 1, 1)  # (OC, C) -> (OC, C, 1, 1)


def _rows_times(x, b, epilogue, depth, columns):
    """The pixels of x (N, H, W, depth) times b (depth, columns), with the epilogue: (N, H, W, columns)."""
    y = memory.empty((*x.shape[:3], columns), x.dtype)
    rows, results = x.reshape(-1), y.reshape(-1)  # (N*H*W, depth), (N*H*W, columns): matrices in 1-D arrays

    def work(start, stop, first, last):  # of the pixels, and of the columns
        some = last - first
        step = max(LEAST_ROWS, BLOCK_NUMBERS // max(1, some))
        for i in range(start, stop, step):
            count = min(step, stop - i)
            c = results, i * columns + first, columns  # the array, where the block begins, how far rows are apart
            multiply((rows, i * depth, depth), (b, first * depth), c, (count, depth, some), SUMMANDS)
            epilogue.apply(c, count, some, first)

    share(work, math.prod(x.shape[:3]), columns, x.dtype)
    return y
