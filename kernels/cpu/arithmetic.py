"""The residual add; mirrors residual_add_forward of minicnn/ops/arithmetic.py (its one kernel): reads 2e, writes 1e."""

import numpy as np

from .machine.elementwise import elementwise


def residual_add_forward(x, y):
    """x + y."""
    return elementwise(np.add, x, y)
