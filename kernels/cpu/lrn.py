"""Local response normalisation, one pass each way; mirrors minicnn/ops/lrn.py.

A pixel's channels lie side by side: its row of squares, with zeros at both ends, stays in the first cache, and the sum
over a window is `size` shifted rows added up, a vector register of channels at a time. x is read once and y written
once (2e), backward reads grad_out and x and writes grad_x (3e). With groups, each group's channels are such a row.

What would cost most is s^-beta: a general power takes about 100 times as long as a multiplication. For the paper's
beta = 3/4 it is 1 / (sqrt(s) * sqrt(sqrt(s))), two instructions of a vector register, right to the last bit or two.
"""

import math

import numpy as np

from minicnn.precision import takes_bfloat16, wide_dtype

from .machine import threads
from .machine.bfloat16 import bits, narrowed, real, widened
from .machine.jit import jit
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty


@takes_bfloat16
def local_response_norm_forward(x, size, alpha, beta, k, groups):
    """y = x * s^-beta."""
    return _run(_forward, x, (), size, alpha, beta, k, groups)


@takes_bfloat16
def local_response_norm_backward(grad_out, x, size, alpha, beta, k, groups):
    """grad_x: what passes straight through, minus x times what it did to its neighbours."""
    return _run(_backward, x, (grad_out,), size, alpha, beta, k, groups)


def _run(kernel, x, others, size, alpha, beta, k, groups):
    last = channels_last(x)
    out = empty(last.shape, x.dtype)
    channels = x.shape[1] // groups
    rows = math.prod(last.shape[:-1]) * groups
    arrays = last, *map(channels_last, others), out
    matrices = [bits(array).reshape(rows, channels) for array in arrays]  # (N*H*W*groups, C/groups)
    before, after = min(size // 2, channels), min((size - 1) // 2, channels)  # a longer window sees no more than all
    number = wide_dtype(x.dtype).type
    constants = before, after, number(alpha / size), number(beta), number(k)
    threads.run_chunks(
        lambda start, stop: kernel(*(m[start:stop] for m in matrices), *constants),
        rows,
        threads.LEAST // max(1, 8 * channels),
    )
    return behind_channels(out)


@jit
def _forward(x, y, before, after, alpha, beta, k):
    channels = x.shape[1]
    squares = np.zeros(before + channels + after, real(x))  # zeros at both ends stay
    s, power = np.empty(channels, real(x)), np.empty(channels, real(x))  # s, and s^-beta
    for i in range(len(x)):
        for c in range(channels):
            squares[before + c] = widened(x[i, c]) * widened(x[i, c])
        _window_sum(squares, before + after + 1, s)
        _powers(s, alpha, beta, k, power)
        for c in range(channels):
            y[i, c] = narrowed(widened(x[i, c]) * power[c], y)


@jit
def _backward(x, grad_out, grad_x, before, after, alpha, beta, k):
    channels = x.shape[1]
    squares, passed = np.zeros(before + channels + after, real(x)), np.zeros(before + channels + after, real(x))
    s, power = np.empty(channels, real(x)), np.empty(channels, real(x))
    factor = 2 * alpha * beta
    for i in range(len(x)):
        for c in range(channels):
            squares[before + c] = widened(x[i, c]) * widened(x[i, c])
        _window_sum(squares, before + after + 1, s)
        _powers(s, alpha, beta, k, power)
        for c in range(channels):
            power[c] *= widened(grad_out[i, c])  # what passes straight through
            passed[after + c] = power[c] * widened(x[i, c]) / s[c]  # what it did to its neighbours
        _window_sum(passed, before + after + 1, s)  # the mirrored window: `after` channels before, `before` after
        for c in range(channels):
            grad_x[i, c] = narrowed(power[c] - factor * widened(x[i, c]) * s[c], grad_x)


@jit
def _window_sum(values, size, total):
    """total[c] = values[c] + ... + values[c + size - 1]."""
    if size == 5:  # the paper's: the sum stays in a register
        for c in range(len(total)):
            total[c] = values[c] + values[c + 1] + values[c + 2] + values[c + 3] + values[c + 4]
        return
    total[:] = 0  # any other size: `size` passes over the row
    for j in range(size):
        shifted = values[j : j + len(total)]
        for c in range(len(total)):
            total[c] += shifted[c]


@jit
def _powers(s, alpha, beta, k, power):
    """s = k + alpha * s, in place, and power = s^-beta."""
    if beta == 0.75:
        for c in range(len(s)):
            s[c] = k + alpha * s[c]
            root = np.sqrt(s[c])  # s^(1/2), and its root s^(1/4)
            power[c] = 1 / (root * np.sqrt(root))
    else:
        for c in range(len(s)):
            s[c] = k + alpha * s[c]
            power[c] = s[c] ** -beta
