"""stem.py's convolution of a few pictures with kept weights, as one call of a compiled function (few.py says why).

Pictures come as everybody has them, (N, C, H, W). Here the copy of a band into its frame turns it to channels-last on
the way, which saves a pass over the picture, and waking a thread for it. Results are those of stem.py, to the last bit.
"""

import functools
import math

from ..gemm.lanes import clear, copy
from ..gemm.matmul import multiply_windows, panels
from ..machine import memory, team, threads
from ..machine.jit import jit
from ..machine.layout import channels_last, contiguous
from . import stem
from .few import epilogue_of, finish_columns
from .windows import filters_of

MOST_ROWS = 1 << 15  # places of all images: two pictures of 224 x 224 pixels, with a stride of 2


def suits(images, geometry):
    """Whether it is so little work that what lies around the products counts."""
    rows = images * math.prod(geometry.out_size)
    return stem.suits(geometry) and 0 < rows <= MOST_ROWS and 0 not in (*geometry.size, geometry.channels)


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, OC) for x (N, C, H, W), however it lies in memory, and weight (OC, C, KH, KW); look: see few.py."""
    y = memory.empty((len(x), *geometry.out_size, geometry.filters), x.dtype)
    table, numbers, size, filters = _plan(len(x), geometry, x.dtype, threads.threads())
    turned = x.flags.c_contiguous  # what lies otherwise is channels-last already, or copied
    x = contiguous(x) if turned else channels_last(x)
    b, frames = panels("stem.b", weight, *filters), memory.scratch("few_stem.frames", (size,), x.dtype)
    epilogue = epilogue_of(bias, residual, relu, x.dtype)
    arguments = x.reshape(-1), frames, b, y.reshape(-1), numbers, tuple(geometry), turned, epilogue
    threads.run_compiled(_convolve, table, arguments)
    return y


@functools.lru_cache(1024)
def _plan(images, geometry, dtype, count):
    """(Table of rows of outputs, (rows of outputs in a band, numbers of its frame), numbers of all frames, where the
    filters' numbers are)."""
    height, width = geometry.out_size
    table = team.table(images * height, count, 1)
    row = ((width - 1) * geometry.stride[1] + geometry.taps[1]) * geometry.channels  # numbers, with the padding
    band = max(1, stem.BAND_NUMBERS // (geometry.stride[0] * row + width * geometry.filters))
    frame = ((band - 1) * geometry.stride[0] + geometry.taps[0]) * row
    frame += -frame % 16  # 64 bytes: no line of the caches is written by two threads
    return table, (band, frame), len(table) * frame, filters_of(geometry, 0)


@jit
def _convolve(boxes, table, arguments):
    return team.stage(boxes, _bands, table, arguments)


@jit
def _bands(limits, arguments):
    """Rows limits[0] ... limits[1] of outputs, counted through all images, a band at a time."""
    x, frames, b, y, (most, size), geometry, turned, epilogue = arguments
    (height, width), (out_h, out_w), (taps_h, taps_w), (down, right), (top, left), _, channels, filters, _ = geometry
    frame, row = frames[limits[2] * size :], ((out_w - 1) * right + taps_w) * channels
    start = limits[0]
    while start < limits[1]:
        image, first = start // out_h, start % out_h
        count = min(most, out_h - first, limits[1] - start)  # rows of outputs
        corner, rows = (first * down - top, -left), (count - 1) * down + taps_h
        _copy_band(
            x[image * height * width * channels :], (height, width, channels), frame, corner, (rows, row), turned
        )
        c = y, start * out_w * filters, filters, out_w * filters
        sizes = taps_h, count, out_w, taps_w * channels, filters  # named in multiply_windows
        multiply_windows(frame, (right * channels, down * row, row), b, c, sizes)
        finish_columns(c[:3], (count * out_w, filters), 0, epilogue)
        start += count


@jit
def _copy_band(x, size, frame, corner, sizes, turned):
    """frame (rows, row), sizes, = the image x of that size (H, W, C), from pixel `corner` on, and zeros where that is
    outside; turned: x lies in memory as (C, H, W)."""
    (height, width, channels), (top, left), (rows, row) = size, corner, sizes
    before, begin = min(row, max(0, -left) * channels), max(0, left)  # zeros to the left; the first pixel
    count = max(0, min(row - before, (width - begin) * channels))  # numbers of a row that are in the image
    for i in range(rows):
        at, line = i * row, top + i
        if line < 0 or line >= height:
            clear(frame, at, row)
            continue
        clear(frame, at, before)
        if turned:
            for c in range(channels):
                from_, to = (c * height + line) * width + begin, at + before + c
                for j in range(count // channels):
                    frame[to + j * channels] = x[from_ + j]
        else:
            copy(x, (line * width + begin) * channels, frame, at + before, count)
        clear(frame, at + before + count, row - before - count)
