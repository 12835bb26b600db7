"""What is done to a convolution's sums while they are in the cache: y = max(sums + bias + residual, 0).

A pass over y of its own would read it from memory again, and write it once more: for 64 channels of 56 x 56 pixels that
takes as long as a 1x1 convolution of them. So each algorithm calls its Epilogue for a cache block of rows of y.

A batch norm beside the convolution has its own reasons to look at y (conv_batchnorm.py): its Look sees the block as it
is stored, and keeps what it has found until all of y has been seen.
"""

from typing import Any, NamedTuple

import numpy as np

from ..machine import threads
from ..machine.bfloat16 import bits, narrowed, widened
from ..machine.jit import jit


class Epilogue(NamedTuple):
    """bias: (OC,) or None; residual: flat, in y's order, or None; relu: whether there is one; look: a Look, or None.

    Where y is bfloat16, it and the residual are bits; a number of y is rounded before them, and once more behind them.
    """

    bias: np.ndarray | None
    residual: np.ndarray | None = None
    relu: bool = False
    look: Any = None

    @classmethod
    def of(cls, bias, residual=None, relu=False, look=None):
        """residual: (N, OH, OW, OC), C-contiguous, or None."""
        return cls(bias, None if residual is None else bits(residual).reshape(-1), relu, look)

    def apply(self, y, rows, columns, first=0):
        """To rows of y, (flat, where they begin, how far they are apart), for the `columns` filters from `first` on."""
        bias, residual, relu, look = self
        if bias is not None or residual is not None or relu:
            finish(y, (rows, columns), None if bias is None else bias[first : first + columns], residual, relu)
        if look is not None:
            look.at_block(y, rows, columns)

    def apply_to_all(self, y):
        """To y (N, OH, OW, OC), of an algorithm that has no epilogue; what there is to see is seen later."""
        rows, columns = y.size // max(1, y.shape[-1]), y.shape[-1]
        flat, without = bits(y).reshape(-1), self._replace(look=None)
        least = threads.LEAST // max(1, columns)
        threads.run_chunks(lambda i, j: without.apply((flat, i * columns, columns), j - i, columns), rows, least)

    def forget(self):
        """Some rows have become others since: what a look has found is worth nothing."""
        if self.look is not None:
            self.look.found = {}


NOTHING = Epilogue(None)


class Look:
    """What a look at each row of y (M, OC) finds, block by block, while that is in the cache.

    see(block, start): what it finds in a block, rows start ... of y; it may change them, if a second look then finds
    the same and changes nothing.
    """

    def __init__(self, see):
        self.see, self.found = see, {}  # found: {(first row, row behind the last): what was found}

    def at_block(self, y, rows, columns):
        """y: (flat, where the block begins, how far its rows are apart). At some of the columns nobody looks yet."""
        flat, at, row = y
        if columns == row:
            self._see(flat.reshape(-1, row), at // row, at // row + rows)

    def results(self, y):
        """What was found in y (M, OC), in the order of its rows; what no block has shown is looked at now."""
        if sum(stop - start for start, stop in self.found) != len(y):
            self.found = {}
            least = threads.LEAST // max(1, y.shape[1])
            threads.run_chunks(lambda start, stop: self._see(y, start, stop), len(y), least)
        return [self.found[rows] for rows in sorted(self.found)]

    def _see(self, y, start, stop):
        self.found[start, stop] = self.see(y[start:stop], start)


@jit
def finish(c, size, bias, residual, relu):
    """Matrix c (rows, columns) += bias (columns,) + residual, whose numbers lie as c's do; then max(c, 0) if `relu`."""
    (x, at, row), (rows, columns) = c, size
    for i in range(rows):
        y = x[at + i * row : at + i * row + columns]  # so LLVM sees that a row's numbers follow one another
        more = y if residual is None else residual[at + i * row : at + i * row + columns]
        for j in range(columns):
            v = widened(y[j])
            if bias is not None:  # what is None is known when this is compiled
                v += bias[j]
            if residual is not None:
                v += widened(more[j])
            y[j] = narrowed(0 if relu and v <= 0 else v, y)  # NaN stays
