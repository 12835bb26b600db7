"""3x3 and 5x5 convolutions of stride 1 with a quarter, or a sixth, of the multiplications (Winograd).

Two neighbouring results of a filter with 3 taps, y0 = d0*g0 + d1*g1 + d2*g2 and y1 = d1*g0 + d2*g1 + d3*g2, take 6
multiplications, or 4. For pixels d = 5 1 2 4 and a filter g = 2 4 6:

    m0 = (d0 - d2) * g0                    3 * 2 =   6
    m1 = (d1 + d2) * (g0 + g1 + g2) / 2    3 * 6 =  18        y0 = m0 + m1 + m2 = 26 = 5*2 + 1*4 + 2*6
    m2 = (d2 - d1) * (g0 - g1 + g2) / 2    1 * 2 =   2        y1 = m1 - m2 + m3 = 34 = 1*2 + 2*4 + 4*6
    m3 = (d3 - d1) * g2                    3 * 6 =  18

The sums of g are made once for all pixels, and those of d once for all filters. With small matrices of small numbers,
and * number by number, that is y = A^T [(G g) * (B^T d)]; cook_toom.py prints the ones of these lines, F(2, 3), and
makes them for more results and taps too.
Here it is 4 results from 6 pixels, along both axes of an image: a *tile* of 4 x 4 results, from 6 x 6 pixels (2 of its
rows or columns are the next tile's too), takes 6 x 6 = 36 multiplications instead of 4*4 * 3*3 = 144; for 5 x 5 taps,
from 8 x 8 pixels, 64 instead of 400. For one channel d (6, 6) and one filter g (3, 3), y (4, 4) is

    y = A^T [ (G g G^T) * (B^T d B) ] A

The sum over channels can be taken before A, in the *transform domain*. So each of its 36 *places* is a matrix product
over channels by itself, the tiles of all images being its rows:

    V (36, tiles, C)   from the images, through B              M[place] (tiles, K) = V[place] @ U[place]
    U (36, C, K)       from the filters, through G             y: from M, through A

grad_x        the same with the filters turned by 180 degrees, K and C swapped
grad_weight   y is linear in g, and its gradient the formula's transpose: G^T [ (A dy A^T) * (B^T d B) ] G, summed
              over the tiles before G^T: at each place a product M (36, K, C) = (A dy A^T)^T @ V
bfloat16      images are widened as they are read, and results rounded as they are written: V, M and U are float32
bias          one of the points of cook_toom.py is 1, and its column of A^T all ones: so what is added to M at the place
              of this point in both directions comes out added to every result

Operations    2 * 36 * tiles * C * K, and the transforms of the 36 * (tiles * (C + K) + C * K) numbers of V, M and U,
              which are written and read once more. So it pays with many channels, and many tiles for a filter (`pays`).
Rounding      The points decide how much larger than the results the numbers in between are: with 0, 1, -1, 1/2, -2 and
              infinity errors are a half to a third of those with the usual 0, 1, -1, 2, -2. They are errors of a tile's
              largest number, and in all of its results, seen by their windows or not. So images in which a number
              stands out (outliers.py), or is a NaN or an infinity, are left to im2col.py, in each pass; all of them if
              it is one of the weights. Images do not change each other's results.

Source    Winograd, "Arithmetic complexity of computations", 1980; Lavin, Gray, "Fast algorithms for convolutional
          neural networks", CVPR 2016; Barabasz, Anderson, Soodhalter, Gregg, "Error analysis and improving the accuracy
          of Winograd convolution for deep neural networks", ACM TOMS 2020 (the points)
"""

import math

import numpy as np

from minicnn.precision import BFLOAT16

from ..gemm.lanes import REGISTER
from ..gemm.matmul import padded, width
from ..gemm.transposed import transposing_space
from ..machine import memory, threads
from ..machine.bfloat16 import bits
from ..machine.kept import kept, plain
from . import bfloat16, im2col
from .epilogue import NOTHING, Epilogue
from .outliers import mark_outliers
from .winograd_tiles import TILE, Tiling, collect_filters, cut, join, multiply_places, spread_filters, sum_places

BLOCK_BYTES = 3 << 19  # of V and M, 1.5 MB, for the bands of a cache block: they stay in the second cache
LEAST_TILES = 112  # but no fewer than that in a cache block, as U is read once for each
STREAMED = 1 << 22  # bytes of U, more than the second cache: then it is written to memory straight away
WORTH = 24  # multiplications that take as long as transforming a number, writing and reading it
READING = 10  # multiplications that take as long as reading one of U from memory


def pays(images, geometry, u_is_kept=False):
    """Whether this is possible, and less work than multiplying every window; for stride 1 and no dilation."""
    taps, channels, filters = geometry.taps, geometry.channels, geometry.filters
    # a vector of channels must be full; a tile that sees nothing but padding would be cut from outside the image
    if taps not in ((3, 3), (5, 5)) or min(channels, filters) < 16 or max(*geometry.before, *geometry.after) >= taps[0]:
        return False
    tiles = images * math.prod(grid_of(geometry.out_size))  # of all images
    places = (taps[0] + TILE - 1) ** 2  # 36 or 64
    # at each place: the products, and what it takes to make and move the numbers of V and M, and of U
    moved = WORTH * tiles * (channels + filters) + (READING if u_is_kept else WORTH) * channels * filters
    work = places * (tiles * channels * filters + moved)
    return work < images * math.prod(geometry.out_size) * math.prod(taps) * channels * filters


def conv2d_forward(x, weight, bias, geometry, residual=None, relu=False, look=None):
    """y (N, OH, OW, K) for x (N, H, W, C) and weight (K, C, R, R), R 3 or 5."""
    epilogue = Epilogue.of(bias, residual, relu, look)
    y, found = _convolve(x, weight, epilogue, geometry.out_size, geometry.before, turned=False)
    if found.any():  # a number stands out in these images: once more
        residual = None if residual is None else residual[found]
        more = () if x.dtype == BFLOAT16 else (residual, relu)
        y[found] = _direct(x).conv2d_forward(x[found], weight, bias, geometry, *more)
        epilogue.forget()
    return y


def conv2d_grad_x(grad_out, weight, geometry, epilogue=NOTHING):
    """grad_x (N, H, W, C) by the same road: grad_out (N, OH, OW, K), the filters turned by 180 degrees, an epilogue."""
    # a pixel at the edge was seen through the last tap by the output `last - before` beyond it
    last = weight.shape[-1] - 1
    corner = last - geometry.before[0], last - geometry.before[1]
    grad_x, found = _convolve(grad_out, weight, epilogue, geometry.size, corner, turned=True)
    if found.any():
        more = (Epilogue(epilogue.bias),) if grad_out.dtype == BFLOAT16 else ()
        grad_x[found] = _direct(grad_out).conv2d_grad_x(grad_out[found], weight, geometry, *more)
        if epilogue.residual is not None:
            grad_x[found] += epilogue.residual.view(grad_x.dtype).reshape(grad_x.shape)[found]
        epilogue.forget()
    return grad_x


def conv2d_grad_weight(grad_out, x, geometry):
    """grad_weight (K, C, R, R) from grad_out (N, OH, OW, K) and x (N, H, W, C).

    Threads share the rows of places, 6 or 8, not the tiles: so there is one M, not one for each thread to be added up.
    """
    channels, filters, taps = geometry.channels, geometry.filters, geometry.taps[0]
    dtype = _real(x.dtype)
    of_x = Tiling(x.shape[1:], grid_of(geometry.out_size), geometry.before, taps)
    of_gradients = of_x._replace(size=grad_out.shape[1:], corner=(0, 0))
    side, wide, bands = taps + TILE - 1, padded(channels, dtype), len(x) * of_x.grid[0]  # side: 6 or 8
    # M and W lie in the scratch of U and M, which are not wanted here
    m, m_apart = _places("winograd.u", side * side, filters * wide, dtype)  # M (36, K, wide)
    grad_weight = memory.empty((filters, channels, taps, taps), dtype)
    images, gradients = bits(x).reshape(-1), bits(grad_out).reshape(-1)  # (N, H, W, C) and (N, OH, OW, K) as 1-D arrays
    x_peaks, gradient_peaks = peaks_of(bands, dtype), peaks_of(bands, dtype)

    def work(top, bottom):  # of the rows of places
        places = (bottom - top) * side  # those that this thread makes
        step = min(bands, _bands_in_block(places * (channels + filters) * dtype.itemsize, of_x.grid))  # bands at once
        v = _places("winograd.v", places, step * of_x.grid[1] * channels, dtype)  # V (places, tiles, C)
        w = _places("winograd.m", places, step * of_x.grid[1] * filters, dtype)  # A dy A^T (places, tiles, K)
        buffer, space = _buffer(of_x, max(channels, filters), dtype), transposing_space(dtype)
        own = m[top * side * m_apart :], m_apart, wide  # this thread's places of M (36, K, C)
        for first in range(0, bands, step):
            last = min(first + step, bands)
            rows, size = (first, last, top, bottom), ((last - first) * of_x.grid[1], filters, channels)
            cut(images, v, buffer, x_peaks, rows, tuple(of_x), False)
            cut(gradients, w, buffer, gradient_peaks, rows, tuple(of_gradients), True)
            sum_places(w, v, own, places, size, first > 0, space)  # M (+)= W^T @ V

    def collect(start, stop):  # filters
        buffer = memory.scratch("winograd.buffer", (taps * (taps + side) * channels,), dtype)
        collect_filters((m, m_apart, wide), grad_weight.reshape(-1), buffer, (start, stop), (channels, taps))

    threads.run_chunks(work, side)
    found = np.zeros(len(x), bool)
    if mark_outliers(images, x_peaks, found) | mark_outliers(gradients, gradient_peaks, found):
        grad_weight = _direct(x).conv2d_grad_weight(grad_out[found], x[found], geometry)
        if not found.all():  # the others once more, without them
            grad_weight += conv2d_grad_weight(grad_out[~found], x[~found], geometry)
        return grad_weight
    threads.run_chunks(collect, filters)
    return grad_weight


def _convolve(x, weight, epilogue, size, corner, turned):
    """(The results (N, *size, K), in which images a number stands out: their results are wrong)."""
    n, depth, columns, taps = len(x), x.shape[3], weight.shape[1 if turned else 0], weight.shape[-1]
    dtype = weight.dtype
    tiling, side, wide = Tiling(x.shape[1:], grid_of(size), corner, taps), taps + TILE - 1, padded(columns, dtype)
    grid, of_results, places = tiling.grid, tiling._replace(size=(*size, columns)), side * side
    y, found = memory.empty((n, *size, columns), x.dtype), np.zeros(n, bool)
    u = transformed_filters(weight, turned)
    if u is None:  # a weight stands out: all images see it
        found[:] = True
        return y, found
    images, results = bits(x).reshape(-1), bits(y).reshape(-1)  # (N, H, W, depth) and (N, *size, columns) as 1-D arrays
    peaks = peaks_of(n * grid[0], dtype)
    at_one, behind = Epilogue(epilogue.bias), epilogue._replace(bias=None)

    def work(start, stop):  # of the bands
        step = min(stop - start, _bands_in_block(places * (depth + wide) * dtype.itemsize, grid))  # bands at once
        v = _places("winograd.v", places, step * grid[1] * depth, dtype)  # V (36, tiles, depth)
        m, m_apart = _places("winograd.m", places, step * grid[1] * wide, dtype)  # M (36, tiles, wide)
        buffer = _buffer(tiling, max(depth, columns), dtype)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            tiles = (last - first) * grid[1]
            cut(images, v, buffer, peaks, (first, last, 0, side), tuple(tiling), False)  # V = B^T d B
            multiply_places(v, u, (m, m_apart), places, (tiles, depth, wide))  # M = V @ U
            # the points (1, 1) are second in both directions
            at_one.apply((m, (side + 1) * m_apart, wide), tiles, columns)
            join((m, m_apart, wide), results, buffer, (first, last), tuple(of_results))  # y = A^T M A
            top, bottom = (of_results.row_of_band(s) for s in (first, last))  # rows of y, counted through all images
            behind.apply((results, top * size[1] * columns, columns), (bottom - top) * size[1], columns)

    threads.run_chunks(work, n * grid[0])
    mark_outliers(images, peaks, found)
    return y, found


def transformed_filters(weight, turned):
    """U: at each place the panels (matmul.py) of a matrix (C, K), or of (K, C) for the filters `turned` around.

    None if a weight stands out. Of an immutable weight it is kept (machine/kept.py).
    """

    def make(space):
        filters, channels, taps, _ = weight.shape
        depth, columns = (filters, channels) if turned else (channels, filters)
        steps = (channels * taps * taps, taps * taps) if turned else (taps * taps, channels * taps * taps)
        wide, side = width(weight.dtype), taps + TILE - 1
        count = padded(columns, weight.dtype) // wide  # panels
        flat = plain(weight).reshape(-1)
        u, peaks = (
            space("winograd.u", (side * side * count * depth * wide,), weight.dtype),
            peaks_of(count, weight.dtype),
        )

        how = turned, u.nbytes >= STREAMED and u.ctypes.data % REGISTER == 0

        def work(start, stop):  # of the panels
            buffer = memory.scratch("winograd.buffer", ((taps * (taps + side) + wide) * wide,), weight.dtype)
            spread_filters(flat, steps, u, buffer, peaks, (start, stop), (depth, columns, taps), how)

        threads.run_chunks(work, count)
        return None if mark_outliers(flat, peaks, np.zeros(1, bool)) else u

    return kept(weight, ("winograd.u", turned), make)


def _real(dtype):
    """What V, M and U are made of."""
    return np.dtype(np.float32) if dtype == BFLOAT16 else dtype


def _direct(images):
    """The algorithm that takes images in which a number stands out."""
    return bfloat16 if images.dtype == BFLOAT16 else im2col


def grid_of(size):
    """How many tiles cover so many rows and columns of results."""
    return -(-size[0] // TILE), -(-size[1] // TILE)


def _bands_in_block(bytes_per_tile, grid):
    return max(1, BLOCK_BYTES // (bytes_per_tile * grid[1]), LEAST_TILES // grid[1])


def apart_of(size, dtype):
    """How far matrices of that size lie apart: not by a multiple of a kilobyte, as numbers at the same place of each
    are written together and would all fall upon the same few lines of the first cache."""
    return size + 16 if size * np.dtype(dtype).itemsize % 1024 == 0 else size  # numbers: 64 bytes further


def _places(name, places, size, dtype):
    """(Scratch for so many matrices of that size, how far they lie apart)."""
    apart = apart_of(size, dtype)
    return memory.scratch(name, (places * apart,), dtype), apart


def _buffer(tiling, channels, dtype):
    """The buffer of cut() and join(): a band of tiles, transformed in one direction."""
    size = (tiling.taps + TILE - 1) * (tiling.grid[1] * TILE + tiling.taps - 1) * channels
    return memory.scratch("winograd.buffer", (size,), dtype)


def peaks_of(count, dtype):
    """Where cut() and spread_filters() leave the largest number of each band or panel: that of each lane."""
    return np.empty(count * (REGISTER // np.dtype(dtype).itemsize), dtype)
