"""Random arrays for functions of the ops' pages, and these functions as the engine calls them."""

import functools

import numpy as np

from minicnn.device import implementation
from minicnn.precision import BFLOAT16, takes_bfloat16, widened


def normal(*shapes):
    """An array of each shape, float32, N(0, 1)."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def channels_last(array):
    """The same images, the channels of a pixel side by side in memory: so layers hand them over on tier "fast"."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def called(reference, tier):
    """The function of that name on the processor, for arrays of either precision, as ``Function.run`` calls it."""
    function = implementation(reference, "cpu", tier)

    @functools.wraps(function)
    def call(x, *rest):
        if x.dtype == BFLOAT16 and not hasattr(function, takes_bfloat16.__name__):
            return widened(function, reference, (x, *rest))
        return function(x, *rest)

    return call
