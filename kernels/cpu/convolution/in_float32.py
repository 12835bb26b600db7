"""An algorithm of float32 for bfloat16 images: they are widened before, and its result is rounded behind.

Two more passes over memory, for where the algorithm saves more than that: winograd16.py, and the gradient of a first
layer's images (stem.py). `algorithm`: the module that has it.
"""

import numpy as np

from minicnn.precision import BFLOAT16, narrow, wide

from ..machine import memory, threads
from ..machine.bfloat16 import bits, convert

FLOAT32 = np.dtype(np.float32)


def forward(algorithm, x, weight, bias, geometry):
    """y (N, OH, OW, OC)."""
    return _to(BFLOAT16, algorithm.conv2d_forward(_to(FLOAT32, x), wide(narrow(weight)), bias, geometry))


def grad_x(algorithm, grad_out, weight, bias, geometry):
    """grad_x (N, H, W, C), plus bias (C,) or None."""
    result = algorithm.conv2d_grad_x(_to(FLOAT32, grad_out), wide(narrow(weight)), geometry)
    if bias is not None:
        result += bias
    return _to(BFLOAT16, result)


def grad_weight(algorithm, grad_out, x, geometry):
    """grad_weight (OC, C, KH, KW) float32."""
    return algorithm.conv2d_grad_weight(_to(FLOAT32, grad_out), _to(FLOAT32, x), geometry)


def _to(dtype, array):
    """A copy in that dtype."""
    y = memory.empty(array.shape, dtype)
    given, out = bits(array).reshape(-1), bits(y).reshape(-1)
    threads.run_chunks(lambda start, stop: convert(given[start:stop], out[start:stop]), out.size, threads.LEAST)
    return y
