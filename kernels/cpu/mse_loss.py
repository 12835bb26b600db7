"""Mean squared error, one pass over both arrays each way; mirrors minicnn/ops/mse_loss.py.

The sum keeps no squares: reads 2e. A loop that adds to one number waits for each addition, so LANES sums grow side by
side, and they are in double: no digits are lost, however many numbers there are.
"""

import numpy as np

from .machine import threads
from .machine.elementwise import elementwise
from .machine.jit import jit
from .machine.layout import flat

LANES = 64


def mse_loss_forward(x, target):
    """Each (x - target)^2."""
    return elementwise(_squares, x, target)


def mse_loss_sum(x, target):
    """The sum of all (x - target)^2."""
    a, b = flat(x, target)
    chunks = threads.chunks(x.size, threads.LEAST)
    sums = np.zeros((len(chunks), LANES))  # float64
    threads.run(lambda i: _add_up(a[slice(*chunks[i])], b[slice(*chunks[i])], sums[i]), len(chunks))
    return sums.sum().astype(x.dtype)


def mse_loss_backward(grad_loss, x, target):
    """grad_x = 2 * (x - target) * grad_loss, which is () or has x's shape."""
    if grad_loss.ndim == 0:
        return elementwise(_scaled, x, target, numbers=(x.dtype.type(2 * grad_loss),))
    return elementwise(_gradients, x, target, grad_loss)


@jit
def _squares(x, target, y):
    for i in range(x.size):
        difference = x[i] - target[i]
        y[i] = difference * difference


@jit
def _add_up(x, target, sums):
    """sums (LANES,) float64 += the squares of the differences, the square of element i to sum i % LANES."""
    whole = x.size - x.size % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            difference = x[start + lane] - target[start + lane]
            sums[lane] += difference * difference
    for i in range(whole, x.size):
        difference = x[i] - target[i]
        sums[i - whole] += difference * difference


@jit
def _scaled(x, target, grad_x, factor):
    for i in range(x.size):
        grad_x[i] = (x[i] - target[i]) * factor


@jit
def _gradients(x, target, grad_loss, grad_x):
    for i in range(x.size):
        grad_x[i] = 2 * (x[i] - target[i]) * grad_loss[i]
