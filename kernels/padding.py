"""Padding of any number of axes, by kernels that take four.

An axis without padding is taken as one with the axis before it. So pictures (N, C, H, W) that are padded in H and W are
(N * C, H, W); channels-last they are (N, H, W * C), with C times the padding of W. Hardly any array needs more axes.
"""

import math

from minicnn.ops.pad import padded_shape

AXES = 4


def by_fours(pad_four, x, padding, value):
    """x, C-contiguous, padded.

    pad_four(x, shape, befores, value): the same for four axes, of which the result has that shape.
    """
    axes = _merged(x.shape, padding)
    if len(axes) <= AXES:
        rest, last = [], [(1, 0, 0)] * (AXES - len(axes)) + axes
    else:  # the last three first, while the others are one axis, without their padding
        rest = axes[: 1 - AXES]
        last = [(math.prod(length for length, *_ in rest), 0, 0), *axes[1 - AXES :]]
    lengths, befores = [length for length, *_ in last], tuple(before for _, before, _ in last)
    y = pad_four(x.reshape(lengths), tuple(map(sum, last)), befores, value)
    if rest:  # then the others, before all that is padded already
        lengths = [*(length for length, *_ in rest), math.prod(y.shape[1:])]
        y = by_fours(pad_four, y.reshape(lengths), [*(sizes for _, *sizes in rest), (0, 0)], value)
    return y.reshape(padded_shape(x.shape, padding))


def _merged(shape, padding):
    """[(length, before, after), ...]: fewer axes for the same memory."""
    axes = []
    for length, (before, after) in zip(shape, padding, strict=True):
        if axes and before == after == 0:
            axes[-1] = [length * number for number in axes[-1]]
        else:
            axes.append([length, before, after])
    return axes
