"""1x1 convolution: a matrix product as it stands, without a copy.

Channels-last, the pixels of all images are the rows of a matrix x (N*H*W, C), and a filter looks at one row at a time:

    y (N*H*W, OC) = x @ weight^T + bias        grad_x = grad_out @ weight        grad_weight = grad_out^T @ x

Only the weights, small next to the images, are packed first (matmul.py). Bound by memory where channels are few:
2*C*OC operations for 4*(C + OC) bytes of a pixel. In this way half of ResNet-50's operations are done.

Source    Lin, Chen, Yan, "Network in network", ICLR 2014; He et al. 2015 (bottlenecks)
"""

import functools
import math

from ..gemm.matmul import SUMMANDS, multiply, padded, panels, width
from ..gemm.shares import share
from ..gemm.transposed import multiply_transposed, transposing_space
from ..machine import memory, threads
from .epilogue import NOTHING, Epilogue
from .windows import filters_gradient

BLOCK_NUMBERS = 1 << 17  # of y, 512 KB, which are in the second cache when the epilogue comes
MANY = 4  # pixels for each filter, or channel: then it costs less to add up sums of threads than to read a factor twice
LEAST_ROWS = 252  # of y in a block, whole register tiles, so that the weights are read for many of them


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, H, W, OC) for x (N, H, W, C) and weight (OC, C, 1, 1)."""
    filters, channels = geometry.filters, geometry.channels
    # row k of b = weight^T is channel k: neighbouring weights of a filter; filters are `channels` numbers apart
    b = panels("pointwise.b", weight, 0, (1, 1, channels), (1, 1, 1), filters, channels)
    return _rows_times(x, b, Epilogue.of(bias, residual, relu, look), channels, filters)


def conv2d_grad_x(grad_out, weight, geometry, epilogue=NOTHING):
    """grad_x (N, H, W, C) from grad_out (N, H, W, OC), with the epilogue."""
    filters, channels = geometry.filters, geometry.channels
    # row k of b = weight is filter k, as it lies
    b = panels("pointwise.b", weight, 0, (1, 1, filters), (1, 1, channels), channels, 1)
    return _rows_times(grad_out, b, epilogue, filters, channels)


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C, 1, 1) from grad_out (N, H, W, OC) and x (N, H, W, C).

    Threads share the pixels where these are many: each reads its part of both factors, and then their sums are added
    up. Else they share the longer side of grad_weight: no partial sums, but each reads all of one factor.
    """
    filters, channels = geometry.filters, geometry.channels
    wide, pixels = padded(channels, x.dtype), math.prod(x.shape[:3])  # C as whole panels; N*H*W
    chunks = threads.chunks(pixels) if pixels >= MANY * max(filters, channels) else [(0, pixels)]
    is_result = len(chunks) == 1 and wide == channels  # nothing is to be added up, nor to be cut off
    make = memory.empty if is_result else functools.partial(memory.scratch, "pointwise.sums")
    sums = make((max(1, len(chunks)), filters, wide), x.dtype)
    a, b, c = grad_out.reshape(-1), x.reshape(-1), sums.reshape(-1)  # (N*H*W, OC), (N*H*W, C), (chunks, OC, wide)

    def work(chunk, start, stop, left, right):  # of the pixels; of the filters; of the channels
        first, last = chunks[chunk]
        factors = (a, first * filters + start, filters), (b, first * channels + left, channels)
        total, size = (c, (chunk * filters + start) * wide + left, wide), (last - first, stop - start, right - left)
        multiply_transposed(*factors, total, size, False, transposing_space(x.dtype))

    def work_on_panels(first, last):  # of the channels
        work(0, 0, filters, first * width(x.dtype), min(last * width(x.dtype), channels))

    if len(chunks) > 1:
        threads.run(lambda chunk: work(chunk, 0, filters, 0, channels), len(chunks))
    elif filters >= channels:
        threads.run_chunks(lambda start, stop: work(0, start, stop, 0, channels), filters)
    else:
        threads.run_chunks(work_on_panels, wide // width(x.dtype))
    return sums.reshape(filters, channels, 1, 1) if is_result else filters_gradient(sums, geometry)


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
