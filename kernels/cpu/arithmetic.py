"""The residual add; mirrors residual_add_forward of minicnn/ops/arithmetic.py (its one kernel): reads 2e, writes 1e."""

import numpy as np

from .machine import threads
from .machine.layout import empty_like, flat


def residual_add_forward(x, y):
    """x + y."""
    out = empty_like(x)
    a, b, c = flat(x, y, out)
    threads.run_chunks(lambda i, j: np.add(a[i:j], b[i:j], out=c[i:j]), c.size, threads.LEAST)
    return out
