"""Activations, one pass over memory each; mirrors minicnn/ops/activation.py.

ReLUs are compiled loops: what they cost is reading and writing the array. Sigmoid and tanh cost an exponential for each
element, which NumPy works out for a whole vector register at once, over blocks that stay in the cache.
"""

import numpy as np

from minicnn.precision import takes_bfloat16, wide_dtype

from .machine import memory, threads
from .machine.bfloat16 import bits, narrowed, widened
from .machine.elementwise import AT_ONCE, by_blocks, elementwise
from .machine.jit import jit
from .machine.layout import flat


@takes_bfloat16
def relu_forward(x, out):
    """y = max(x, 0), written into `out` if that is not None."""
    return _forward(_relu, _relu_in_place, x, out)


@takes_bfloat16
def relu_backward(grad_out, y):
    """grad_x = grad_out where y > 0 (or NaN)."""
    return elementwise(_relu_backward, y, grad_out)


@takes_bfloat16
def leaky_relu_forward(x, slope, out):
    """y = x where x > 0, else slope * x; written into `out` if that is not None."""
    return _forward(_leaky_relu, _leaky_relu_in_place, x, out, wide_dtype(x.dtype).type(slope))


@takes_bfloat16
def leaky_relu_backward(grad_out, y, slope):
    """grad_x = grad_out where y > 0, else slope * grad_out."""
    return elementwise(_leaky_relu_backward, y, grad_out, numbers=(wide_dtype(y.dtype).type(slope),))


@takes_bfloat16
def relu6_forward(x, out):
    """y = min(max(x, 0), 6), written into `out` if that is not None."""
    return _forward(_relu6, _relu6_in_place, x, out)


@takes_bfloat16
def relu6_backward(grad_out, y):
    """grad_x = grad_out where 0 < y < 6 (or NaN)."""
    return elementwise(_relu6_backward, y, grad_out)


@takes_bfloat16
def sigmoid_forward(x):
    """y = 1 / (1 + e^-x), in the form whose exponential cannot overflow."""
    return elementwise(by_blocks(_sigmoid), x)


@takes_bfloat16
def sigmoid_backward(grad_out, y):
    """grad_x = grad_out * y * (1 - y)."""
    return elementwise(_sigmoid_backward, y, grad_out)


@takes_bfloat16
def tanh_forward(x):
    """y = tanh(x)."""
    return elementwise(by_blocks(np.tanh), x)


@takes_bfloat16
def tanh_backward(grad_out, y):
    """grad_x = grad_out * (1 - y^2)."""
    return elementwise(_tanh_backward, y, grad_out)


def _forward(kernel, in_place, x, out, *numbers):
    """What kernel(x, y, *numbers) makes of x; where `out` is x, in_place(x, *numbers) writes it over x."""
    if out is None:
        return elementwise(kernel, x, numbers=numbers)
    (view,) = flat(out)  # a copy, if out has gaps
    if out is x and np.may_share_memory(view, x):
        given = bits(view)
        threads.run_chunks(lambda start, stop: in_place(given[start:stop], *numbers), given.size, threads.LEAST)
    else:  # its memory has gaps
        out[...] = elementwise(kernel, x, numbers=numbers)
    return out


def _sigmoid(x, y):
    for start in range(0, x.size, AT_ONCE):
        few = slice(start, start + AT_ONCE)
        e = memory.scratch("activation.exponential", x[few].shape, x.dtype)
        np.abs(x[few], out=e)
        np.negative(e, out=e)
        np.exp(e, out=e)
        _quotient(x[few], e, y[few])


@jit
def _quotient(x, e, y):
    """The sigmoid of x, where e = e^-|x|."""
    for i in range(x.size):
        y[i] = (1 if x[i] >= 0 else e[i]) / (1 + e[i])


@jit
def _relu(x, y):
    for i in range(x.size):
        v = widened(x[i])
        y[i] = narrowed(0 if v <= 0 else v, y)  # NaN stays


@jit
def _relu_in_place(y):  # a loop over x and y would have to expect that they overlap, one number at a time
    for i in range(y.size):
        v = widened(y[i])
        y[i] = narrowed(0 if v <= 0 else v, y)


@jit
def _relu_backward(y, grad_out, grad_x):
    for i in range(y.size):
        grad_x[i] = 0 if widened(y[i]) <= 0 else grad_out[i]  # bfloat16 as well: the bits of 0 are 0


@jit
def _leaky_relu(x, y, slope):
    for i in range(x.size):
        v = widened(x[i])
        y[i] = narrowed(v if v > 0 else slope * v, y)


@jit
def _leaky_relu_in_place(y, slope):
    for i in range(y.size):
        v = widened(y[i])
        y[i] = narrowed(v if v > 0 else slope * v, y)


@jit
def _leaky_relu_backward(y, grad_out, grad_x, slope):
    for i in range(y.size):
        g = widened(grad_out[i])
        grad_x[i] = narrowed(g if widened(y[i]) > 0 else slope * g, grad_x)


@jit
def _relu6(x, y):
    for i in range(x.size):
        v = widened(x[i])
        y[i] = narrowed(0 if v <= 0 else 6 if v >= 6 else v, y)  # NaN stays


@jit
def _relu6_in_place(y):
    for i in range(y.size):
        v = widened(y[i])
        y[i] = narrowed(0 if v <= 0 else 6 if v >= 6 else v, y)


@jit
def _relu6_backward(y, grad_out, grad_x):
    for i in range(y.size):
        v = widened(y[i])
        grad_x[i] = 0 if v <= 0 or v >= 6 else grad_out[i]


@jit
def _sigmoid_backward(y, grad_out, grad_x):
    for i in range(y.size):
        v = widened(y[i])
        grad_x[i] = narrowed(widened(grad_out[i]) * v * (1 - v), grad_x)


@jit
def _tanh_backward(y, grad_out, grad_x):
    for i in range(y.size):
        v = widened(y[i])
        grad_x[i] = narrowed(widened(grad_out[i]) * (1 - v * v), grad_x)
