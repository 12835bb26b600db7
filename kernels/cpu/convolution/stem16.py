"""stem.py for bfloat16 images, where vdpbf16ps multiplies pairs of numbers (gemm/dot.py).

Forward, a row of a window is a run of memory, as in stem.py: KW*C numbers, which are read two by two, as words. Of an
odd number of them the last word holds one number of the next pixel, and its weight there is 0.

grad_weight adds over windows, so it is two of those that make a pair, neighbours of a row of outputs. Their numbers lie
stride*C apart: a frame of words has each number beside the one that is so much further. Windows 0, 2, 4, ... see pairs
there, as they would see numbers in a plain frame:

    a row of pixels     a  b  c  d  e  f  g  h              window 0: a b c    window 1: c d e      (stride*C = 2)
    words              ac bd ce df eg fh                    both:     ac bd ce

Neither is for images with a NaN or an infinity, which times 0 would be NaN: `suits` asks for them.

On two cores of an AMD EPYC (Zen 4), ResNet's first layer, 16 pictures, takes 11.2 ms forward and 13.0 ms for
grad_weight, with windows copied together (bfloat16.py) 18.3 and 15.1; AlexNet's, 64 pictures, 24.4 and 26.7 instead of
35.3 and 35.9.
"""

import numpy as np

from minicnn.precision import narrow

from ..gemm import bfloat16, matmul, vdpbf16
from ..gemm.bfloat16 import padded16, store_rows16
from ..gemm.lanes import lanes
from ..gemm.micro_kernel import TILE_ROWS
from ..gemm.pairs import pack_panel, pair_rows
from ..gemm.transposed import transposed_times
from ..machine import memory, threads
from ..machine.bfloat16 import bits
from ..machine.jit import jit
from . import stem
from .epilogue import NOTHING
from .stem import BAND_NUMBERS, OUTPUTS, Frames, bands, filters_of_sums


def suits(x, geometry):
    """Whether this is possible for images x (N, H, W, C), bfloat16, on this processor."""
    apart = geometry.stride[1] * geometry.channels  # from a window to the next one: they begin at whole words
    is_in_words = bfloat16.way is vdpbf16 and apart > 0 and apart % 2 == 0
    return is_in_words and stem.suits(geometry) and _all_finite(x)


def conv2d_forward(x, weight, bias, geometry, look=None):
    """y (N, OH, OW, OC) for x (N, H, W, C) and weight (OC, C, KH, KW) float32; look: of epilogue.py, or None."""
    (height, width), taps, filters = geometry.out_size, geometry.taps, geometry.filters
    y = memory.empty((len(x), height, width, filters), x.dtype)
    frames, b, results = Frames(x, geometry), _panels(weight), bits(y).reshape(-1)
    behind = NOTHING._replace(look=look)
    line, run = width * filters, (taps[1] * geometry.channels + 1) // 2  # numbers of a row of outputs; words
    rows = max(1, BAND_NUMBERS // (frames.distances[1] + line))  # of outputs, in a band
    distances = tuple(distance // 2 for distance in frames.distances)  # in words

    def work(start, stop):  # of the rows of outputs, of all images
        for image, first, last in bands(start, stop, height, rows):
            sums = memory.scratch("stem16.sums", ((last - first) * line,), np.float32)
            counts = taps[0], last - first, width, run, filters  # named in multiply_windows
            words = frames.copy(image, first, last).view(np.uint32)
            matmul.multiply_windows(words, distances, b, (sums, 0, filters, line), counts)
            at, size = (image * height + first) * line, ((last - first) * width, filters)
            store_rows16((sums, 0, filters), bias, (results, at, filters), size)
            behind.apply((results, at, filters), *size)

    threads.run_chunks(work, len(x) * height)
    return y


def _panels(weight):
    """b (KH, words of KW*C, OC), rounded to bfloat16, in panels as matmul.py has them: (OC/wide, KH, words, wide)."""
    filters, channels, taps, across = weight.shape
    run, wide = across * channels, matmul.width(np.float32)
    even = np.zeros((taps, run + run % 2, padded16(filters)), np.uint32)
    even[:, :run, :filters] = bits(narrow(weight.transpose(2, 3, 1, 0))).reshape(taps, run, filters)
    words = (even[:, ::2] | even[:, 1::2] << 16).reshape(taps, -1, padded16(filters) // wide, wide)
    return np.ascontiguousarray(words.transpose(2, 0, 1, 3)).reshape(-1)


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (OC, C, KH, KW) float32 from grad_out (N, OH, OW, OC) and x (N, H, W, C).

    Each thread adds up its rows of outputs, and then come the sums of the threads, in their order.
    """
    n, height, width, filters = grad_out.shape
    frames, taps, depth = Frames(x, geometry), geometry.taps, geometry.taps[1] * geometry.channels
    chunks, rows, wide = threads.chunks(n * height), max(1, OUTPUTS // width), padded16(filters)
    sums = memory.scratch("stem16.gradients", (max(1, len(chunks)), taps[0] * depth, wide), np.float32)
    sums[...] = 0
    gradients = bits(grad_out).reshape(n, height, width * filters)  # a row of outputs is a row
    apart, line, row = frames.distances  # numbers of the frame, and words of the one that has pairs

    def work(chunk):
        total, steps = sums[chunk].reshape(-1), (width + 1) // 2
        panel = memory.scratch("stem16.panel", (rows * steps * wide,), np.uint32)  # of grad_out, packed
        for image, first, last in bands(*chunks[chunk], height, rows):
            frame, band = frames.copy(image, first, last), gradients[image, first:last].reshape(-1)
            words = memory.scratch("stem16.words", frame.shape, np.uint32)
            _pair(frame, words, row, apart)
            counts = taps[0], last - first, width, depth, filters
            _add_products(words, (2 * apart, line, row), band, (total, wide), counts, panel)

    threads.run(work, len(chunks))
    return filters_of_sums(sums, geometry)


@jit
def _pair(frame, words, row, apart):
    """words = (x, the number `apart` behind it in its row, or 0) for the numbers x of a frame of such rows."""
    alone = min(apart, row)  # numbers at the end of a row, behind which there is none
    for start in range(0, len(frame), row):
        end = start + row - alone
        pair_rows(frame, (start, apart, True), words, start, row - alone)
        pair_rows(frame, (end, 0, False), words, end, alone)


@jit
def _add_products(words, distances, gradients, c, counts, panel):
    """c (runs*depth, columns) += windows^T @ gradients (lines*width, columns), bits, for windows of words.

    counts: (runs, lines, windows in a line, depth, columns); distances: of two pairs of windows, of lines, of runs;
    c: (array, how far its rows are apart).
    """
    (runs, lines, width, depth, columns), (row, line, run), (y, c_row) = counts, distances, c
    wide, steps = 2 * lanes(words), (width + 1) // 2
    for j in range(0, columns, wide):
        for i in range(lines):  # a pair does not reach into the next line
            some = width, min(wide, columns - j), steps, wide
            pack_panel((gradients, i * width * columns + j, columns), panel[i * steps * wide :], some)
        for i in range(runs):
            a_i, to = (words, i * run, TILE_ROWS, row), (y, i * depth * c_row + j, c_row)
            transposed_times(a_i, (lines, line), panel, depth, steps, to, True)


def _all_finite(x):
    flat, found = bits(x).reshape(-1), []  # found: the largest number of each chunk
    threads.run_chunks(lambda start, stop: found.append(_largest(flat[start:stop])), flat.size, threads.LEAST)
    return max(found, default=0) < 0x7F80


@jit
def _largest(x):
    """The largest of these bits without their sign: 0x7F80 is infinity, and NaN above it."""
    most = np.uint16(0)
    for i in range(x.size):
        most = max(most, x[i] & np.uint16(0x7FFF))
    return most
