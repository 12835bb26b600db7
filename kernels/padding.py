"""Padding of any number of axes, by kernels that take four.

An axis without padding is taken as one with the axis before it. So pictures (N, C, H, W) that are padded in H and W are
(N * C, H, W); channels-last they are (N, H, W * C), with C times the padding of W. Hardly any array needs more axes.
"""

import math

from minicnn.ops.pad import padded_shape

AXES = 4


def by_fours(pad_four, x, padding, value):
    """x, C-contiguous, padded.

    pad_four(x, padding, value): the same for four axes.
    """
    axes = _merged(x.shape, padding)
    rest, last = axes[: 1 - AXES], axes[1 - AXES :]  # the last three, and those before them
    if len(axes) <= AXES:
        last, rest = [(1, 0, 0)] * (AXES - len(axes)) + axes, []
    else:  # first without the padding of the others, which are one axis
        last = [(math.prod(length for length, *_ in rest), 0, 0), *last]
    y = pad_four(x.reshape([length for length, *_ in last]), tuple(tuple(sizes) for _, *sizes in last), value)
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
