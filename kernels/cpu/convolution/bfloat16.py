"""Convolution of bfloat16 images, whatever the geometry: products of windows with a float32 cache block of sums.

    forward       sums (windows, OC) float32 = col @ weight          then plus bias, and rounded once into y
    grad_x        the same of grad_out, for each phase of the stride (windows.py)
    grad_weight   (OC, KH*KW*C/groups) float32 += grad_out^T @ col   never rounded

Images are read as they lie: 1x1 windows of stride 1 are their pixels, larger ones are copied together as in im2col.py,
at half the bytes. Weights are rounded as they are packed, sums stay float32 in the cache until they are complete.

Only products, and no Winograd: a unit that multiplies bfloat16 many times as fast as float32 (gemm/bfloat16.py) makes
multiplications the cheaper part, and the numbers in the transform domain need more digits than bfloat16 has. Where
there is no such unit, winograd16.py comes first. A network's first layer has a way of its own (stem16.py) where pairs
of numbers are multiplied; its images' gradient, for which hardly anybody asks, is float32's.
"""

import math

import numpy as np

from minicnn.precision import narrow

from ..gemm.bfloat16 import multiply16, multiply_transposed16, padded16, panels16, store_rows16
from ..machine import memory, threads
from ..machine.bfloat16 import bits, widened
from ..machine.jit import jit
from . import in_float32, stem, stem16
from .epilogue import NOTHING
from .windows import filters_gradient, filters_of, phases, windows_of


def conv2d_forward(x, weight, bias, geometry, residual=None, look=None):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C/groups, KH, KW) float32; with a residual like y it is
    max(y + residual, 0), for conv_relu.py: rounded once, behind the sum. look: of epilogue.py, or None."""
    if residual is None and stem16.suits(x, geometry):
        return stem16.conv2d_forward(x, weight, bias, geometry, look)
    filters = geometry.filters
    y = memory.empty((len(x), *geometry.out_size, filters), x.dtype)
    windows, results, count = windows_of(x, geometry), bits(y).reshape(-1), filters // geometry.groups  # of a group
    added, behind = None if residual is None else bits(residual).reshape(-1), NOTHING._replace(look=look)

    def store(sums, first, last):
        own = None if bias is None else bias[group * count : (group + 1) * count]
        at, size = first * filters + group * count, (last - first, count)
        if added is not None:  # in the cache
            _add_relu(sums, own, (added, at, filters), size)
            own = None
        store_rows16(sums, own, (results, at, filters), size)
        behind.apply((results, at, filters), *size)

    for group in range(geometry.groups):
        b = panels16("bfloat16.b", weight, *filters_of(geometry, group))
        _multiply(windows, group, b, count, math.prod(y.shape[:3]), store)
    return y


@jit
def _add_relu(sums, bias, residual, size):
    """sums = max(sums + bias + residual, 0), float32; residual: bits; bias: (columns,) or None."""
    (x, at, row), (z, to, z_row), (rows, columns) = sums, residual, size
    for i in range(rows):
        total, added = x[at + i * row :], z[to + i * z_row :]
        for j in range(columns):
            v = total[j] + widened(added[j]) if bias is None else total[j] + bias[j] + widened(added[j])
            total[j] = 0 if v <= 0 else v  # NaN stays


def conv2d_grad_x(grad_out, weight, geometry, epilogue=NOTHING):
    """grad_x (N, H, W, C) from grad_out (N, OH, OW, OC), with the epilogue; its bias (C,) is added before rounding."""
    bias, behind = epilogue.bias, epilogue._replace(bias=None)
    if stem.suits(geometry):  # few channels are a small part of a panel, which would be multiplied all the same
        grad_x = in_float32.grad_x(stem, grad_out, weight, bias, geometry)
        behind.apply_to_all(grad_x)
        return grad_x
    every = phases(geometry)
    grad_x = memory.empty((len(grad_out), *geometry.size, geometry.channels), grad_out.dtype)
    if not all(phase.is_seen for phase in every):  # pixels that no window saw
        threads.run_chunks(lambda start, stop: _fill(grad_x[start:stop], bias), len(grad_x))
    for phase in every:
        if phase.is_seen:
            _grad_of_phase(grad_out, grad_x, weight, bias, behind if len(every) == 1 else NOTHING, phase)
    if len(every) != 1 or not every[0].is_seen:  # pixels of phases lie between each other's
        behind.apply_to_all(grad_x)
    return grad_x


def _grad_of_phase(grad_out, grad_x, weight, bias, behind, phase):
    """Write the pixels of a phase of grad_x; behind: the rest of the epilogue."""
    seen, total, pixels = phase.seen, grad_x.shape[3], bits(grad_x).reshape(-1)
    windows, channels = windows_of(grad_out, seen), total // seen.groups

    def store(sums, first, last):
        size, own = (last - first, channels), None if bias is None else bias[group * channels : (group + 1) * channels]
        if seen.out_size == phase.geometry.size:  # stride 1, the only phase: its pixels are all there are, in order
            at = first * total + group * channels
            store_rows16(sums, own, (pixels, at, total), size)
            behind.apply((pixels, at, total), *size)
        else:
            rows = memory.scratch("bfloat16.rows", (math.prod(size),), np.uint16)
            store_rows16(sums, own, (rows, 0, channels), size)
            phase.spread(rows, pixels, first, last, group)

    for group in range(seen.groups):
        b = panels16("bfloat16.b", weight, *phase.filters_of(group))
        _multiply(windows, group, b, channels, len(grad_x) * math.prod(seen.out_size), store)


def _fill(grad_x, bias):
    grad_x[...] = 0 if bias is None else narrow(bias)


def _multiply(windows, group, b, columns, places, store):
    """``store(sums, first, last)`` for cache blocks of the places: sums (last - first, columns) = windows @ b."""

    def work(start, stop):
        for first, last in windows.blocks(start, stop, beside=4 * columns):  # sums
            sums = memory.scratch("bfloat16.sums", ((last - first) * columns,), np.float32), 0, columns
            multiply16(windows.rows(first, last, group), b, sums, (last - first, windows.depth, columns))
            store(sums, first, last)

    threads.run_chunks(work, places)


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C/groups, KH, KW) float32 from grad_out (N, OH, OW, OC) and x (N, H, W, C).

    Each thread adds up its places, and then come the sums of the threads, in their order.
    """
    if stem16.suits(x, geometry):
        return stem16.conv2d_grad_weight(grad_out, x, geometry)
    filters, windows, gradients = geometry.filters, windows_of(x, geometry), bits(grad_out).reshape(-1)
    chunks, depth, count = threads.chunks(math.prod(grad_out.shape[:3])), windows.depth, filters // geometry.groups
    wide = padded16(depth)
    sums = memory.scratch("bfloat16.gradients", (max(1, len(chunks)), filters, wide), np.float32)
    if not chunks:
        sums[...] = 0

    def work(chunk):
        start, stop = chunks[chunk]
        for group in range(geometry.groups):
            c = sums[chunk].reshape(-1), group * count * wide, wide  # this group's rows
            for first, last in windows.blocks(start, stop, beside=2 * count):  # gradients
                a = gradients, first * filters + group * count, filters
                multiply_transposed16(
                    a, windows.rows(first, last, group), c, (last - first, count, depth), first > start
                )

    threads.run(work, len(chunks))
    return filters_gradient(sums, geometry)
