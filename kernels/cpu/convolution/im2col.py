"""Convolution of any geometry, as matrix products over the windows of a few pixels at a time.

minicnn/ops/conv.py makes a matrix of all windows and multiplies that. It is KH*KW times as large as the images: written
to memory and read again it costs more than the products. Here the windows of a *cache block* of pixels are copied
together (windows.py), multiplied while they are in the second cache, and overwritten by those of the next one:

    col (pixels, KH*KW*C)      one window in each row
    forward       y[pixels] = col @ weight (KH*KW*C, OC)
    grad_weight   (OC, KH*KW*C) += grad_out[pixels]^T @ col
    grad_x        a convolution too, of grad_out, once for each phase of the stride (windows.py)

Operations    2 * N*OH*OW * OC * KH*KW*C/groups in each pass, at the speed of matmul.py less the copying
Source        Chellapilla et al. 2006; Jia, "Learning semantic image representations at a large scale", 2014 (Caffe)
"""

import math

from ..gemm.matmul import SUMMANDS, multiply, padded, panels
from ..gemm.shares import share
from ..gemm.transposed import multiply_transposed, transposing_space
from ..machine import memory, threads
from .epilogue import Epilogue
from .windows import filters_gradient, filters_of, phases, windows_of


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C/groups, KH, KW)."""
    filters = geometry.filters
    y = memory.empty((len(x), *geometry.out_size, filters), x.dtype)
    windows, results, count = windows_of(x, geometry), y.reshape(-1), filters // geometry.groups  # count: of a group
    depth, epilogue = windows.depth, Epilogue.of(bias, residual, relu, look)

    def work(start, stop, left, right):  # of the places, and of the group's filters
        for first, last in windows.blocks(start, stop):
            col, column = windows.rows(first, last, group), group * count + left
            c = results, first * filters + column, filters  # these columns of y (N*OH*OW, OC)
            multiply(col, (b, left * depth), c, (last - first, depth, right - left), SUMMANDS)
            epilogue.apply(c, last - first, right - left, column)

    for group in range(geometry.groups):
        b = panels("im2col.b", weight, *filters_of(geometry, group))  # b (KH*KW*C, OC)
        share(work, math.prod(y.shape[:3]), count, x.dtype)
    return y


def conv2d_grad_x(grad_out, weight, geometry):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, OC)."""
    n, every = len(grad_out), phases(geometry)
    grad_x = memory.empty((n, *geometry.size, geometry.channels), grad_out.dtype)
    if not all(phase.is_seen for phase in every):  # pixels that no window saw
        threads.run_chunks(lambda start, stop: grad_x[start:stop].fill(0), n)
    for phase in every:
        if phase.is_seen:
            _grad_of_phase(grad_out, grad_x, weight, phase)
    return grad_x


def _grad_of_phase(grad_out, grad_x, weight, phase):
    """Write the pixels of a phase of grad_x: a convolution of grad_out with some of the taps."""
    seen, total = phase.seen, grad_x.shape[3]
    windows, channels = windows_of(grad_out, seen), total // seen.groups
    depth, pixels = windows.depth, grad_x.reshape(-1)

    def work(start, stop):  # of the phase's pixels
        for begin, end in windows.blocks(start, stop):
            col = windows.rows(begin, end, group)
            sizes = end - begin, depth, channels
            if seen.out_size == phase.geometry.size:  # stride 1, the only phase: its pixels are all there are, in order
                c = pixels, begin * total + group * channels, total
                multiply(col, (b, 0), c, sizes, SUMMANDS)
            else:
                rows = memory.scratch("im2col.rows", ((end - begin) * channels,), grad_x.dtype)
                multiply(col, (b, 0), (rows, 0, channels), sizes, SUMMANDS)
                phase.spread(rows, pixels, begin, end, group)

    for group in range(seen.groups):
        b = panels("im2col.b", weight, *phase.filters_of(group))  # b (some taps * OC/groups, C/groups)
        threads.run_chunks(work, len(grad_x) * math.prod(seen.out_size))


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C/groups, KH, KW) from grad_out (N, OH, OW, OC) and x (N, H, W, C).

    Threads share the pixels, and their sums are then added up; or the filters where these are more: then each thread
    copies all windows, which is less.
    """
    filters, pixels = geometry.filters, math.prod(grad_out.shape[:3])
    windows, count = windows_of(x, geometry), filters // geometry.groups  # count: filters of a group
    depth = windows.depth
    chunks = threads.chunks(pixels) if pixels >= count else [(0, pixels)]
    wide, gradients = padded(depth, x.dtype), grad_out.reshape(-1)
    sums = memory.scratch("im2col.sums", (max(1, len(chunks)), filters, wide), x.dtype)  # one for each chunk
    if not pixels:
        sums[...] = 0

    def work(chunk, start, stop):  # of the pixels; of a group's filters
        total, space = sums[chunk].reshape(-1), transposing_space(x.dtype)
        for group in range(geometry.groups):
            column = group * count + start
            c = total, column * wide, wide  # these filters' rows
            for begin, end in windows.blocks(*chunks[chunk]):
                col = windows.rows(begin, end, group)
                a, more = (gradients, begin * filters + column, filters), begin > chunks[chunk][0]
                multiply_transposed(a, col, c, (end - begin, stop - start, depth), more, space)

    if len(chunks) > 1:
        threads.run(lambda chunk: work(chunk, 0, count), len(chunks))
    else:
        threads.run_chunks(lambda start, stop: work(0, start, stop), count)
    return filters_gradient(sums, geometry)
