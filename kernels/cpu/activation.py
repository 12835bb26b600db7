"""Activations, one pass over memory each; mirrors minicnn/ops/activation.py.

ReLU is a compiled loop: what it costs is reading and writing the array. Sigmoid and tanh cost an exponential for each
element, which NumPy works out for a whole vector register at once, over blocks that stay in the cache.
"""

import numpy as np

from .machine import memory, threads
from .machine.jit import jit
from .machine.layout import empty_like, flat

AT_ONCE = 1 << 13  # elements that go through every step of the sigmoid: 32 KB of float32 in each of 3 arrays


def relu_forward(x, out):
    """y = max(x, 0), written into `out` if that is not None."""
    if out is None:
        return _run(_relu, empty_like(x), x)
    (view,) = flat(out)  # a copy, if out has gaps
    if out is x and np.may_share_memory(view, x):
        threads.run_chunks(lambda start, stop: _relu_in_place(view[start:stop]), view.size, threads.LEAST)
    else:  # its memory has gaps
        out[...] = relu_forward(x, None)
    return out


def relu_backward(grad_out, y):
    """grad_x = grad_out where y > 0 (or NaN)."""
    return _run(_relu_backward, empty_like(y), y, grad_out)


def sigmoid_forward(x):
    """y = 1 / (1 + e^-x), in the form whose exponential cannot overflow."""
    return _run(_sigmoid, empty_like(x), x)


def sigmoid_backward(grad_out, y):
    """grad_x = grad_out * y * (1 - y)."""
    return _run(_sigmoid_backward, empty_like(y), y, grad_out)


def tanh_forward(x):
    """y = tanh(x)."""
    return _run(np.tanh, empty_like(x), x)


def tanh_backward(grad_out, y):
    """grad_x = grad_out * (1 - y^2)."""
    return _run(_tanh_backward, empty_like(y), y, grad_out)


def _run(kernel, out, *arrays):
    """kernel(slice of each array, slice of out) by chunks; returns out, which lies in memory as arrays[0] does."""
    views = flat(*arrays, out)
    threads.run_chunks(lambda start, stop: kernel(*(view[start:stop] for view in views)), views[0].size, threads.LEAST)
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
        y[i] = 0 if x[i] <= 0 else x[i]  # NaN stays


@jit
def _relu_in_place(y):  # a loop over x and y would have to expect that they overlap, one number at a time
    for i in range(y.size):
        y[i] = 0 if y[i] <= 0 else y[i]


@jit
def _relu_backward(y, grad_out, grad_x):
    for i in range(y.size):
        grad_x[i] = 0 if y[i] <= 0 else grad_out[i]


@jit
def _sigmoid_backward(y, grad_out, grad_x):
    for i in range(y.size):
        grad_x[i] = grad_out[i] * y[i] * (1 - y[i])


@jit
def _tanh_backward(y, grad_out, grad_x):
    for i in range(y.size):
        grad_x[i] = grad_out[i] * (1 - y[i] * y[i])
