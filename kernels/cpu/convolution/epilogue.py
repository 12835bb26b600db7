"""What is done to a convolution's sums while they are in the cache: y = max(sums + bias + residual, 0).

A pass over y of its own would read it from memory again, and write it once more: for 64 channels of 56 x 56 pixels that
takes as long as a 1x1 convolution of them. So each algorithm calls its Epilogue for a cache block of rows of y.
"""

from typing import NamedTuple

import numpy as np

from ..machine.jit import jit


class Epilogue(NamedTuple):
    """bias: (OC,) or None; residual: flat, in y's order, or None; relu: whether there is one."""

    bias: np.ndarray | None
    residual: np.ndarray | None = None
    relu: bool = False

    @classmethod
    def of(cls, bias, residual, relu):
        """residual: (N, OH, OW, OC), C-contiguous, or None."""
        return cls(bias, None if residual is None else residual.reshape(-1), relu)

    def apply(self, y, rows, columns, first=0):
        """To rows of y, (flat, where they begin, how far they are apart), for the `columns` filters from `first` on."""
        bias, residual, relu = self
        if bias is not None or residual is not None or relu:
            finish(y, (rows, columns), None if bias is None else bias[first : first + columns], residual, relu)


@jit
def finish(c, size, bias, residual, relu):
    """Matrix c (rows, columns) += bias (columns,) + residual, whose numbers lie as c's do; then max(c, 0) if `relu`."""
    (x, at, row), (rows, columns) = c, size
    for i in range(rows):
        y = x[at + i * row : at + i * row + columns]  # so LLVM sees that a row's numbers follow one another
        more = y if residual is None else residual[at + i * row : at + i * row + columns]
        for j in range(columns):
            v = y[j]
            if bias is not None:  # what is None is known when this is compiled
                v += bias[j]
            if residual is not None:
                v += more[j]
            y[j] = 0 if relu and v <= 0 else v  # NaN stays
