"""An algorithm of float32 for bfloat16 images: they are widened before, and its result is rounded behind.

Two more passes over memory, for where the algorithm saves more than that: the gradient of a first layer's images
(stem.py). `algorithm`: the module that has it.
"""

import numpy as np

from minicnn.immutable import immutable
from minicnn.precision import BFLOAT16

from ..machine import memory, threads
from ..machine.bfloat16 import bits, convert, nearest
from ..machine.kept import kept, plain

FLOAT32 = np.dtype(np.float32)


def grad_x(algorithm, grad_out, weight, bias, geometry):
    """grad_x (N, H, W, C), plus bias (C,) or None."""
    result = algorithm.conv2d_grad_x(_to(FLOAT32, grad_out), rounded_factor(weight), geometry)
    if bias is not None:
        result += bias
    return _to(BFLOAT16, result)


def rounded_factor(weight):
    """The weight (float32 or bfloat16) rounded to bfloat16, as float32 in C order: in scratch; of an immutable one an
    immutable copy, which is kept (machine/kept.py), as is then what the algorithm makes of it."""

    def make(space):
        factor = space("in_float32.weight", weight.shape, FLOAT32)
        given, out = bits(plain(weight)).reshape(-1), factor.reshape(-1)
        threads.run_chunks(lambda start, stop: nearest(given[start:stop], out[start:stop]), out.size, threads.LEAST)
        return factor if space is memory.scratch else immutable(factor)

    return kept(weight, "in_float32.weight", make)


def _to(dtype, array):
    """A copy in that dtype."""
    y = memory.empty(array.shape, dtype)
    given, out = bits(array).reshape(-1), bits(y).reshape(-1)
    threads.run_chunks(lambda start, stop: convert(given[start:stop], out[start:stop]), out.size, threads.LEAST)
    return y
