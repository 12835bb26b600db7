"""Dropout: in training, each value is set to zero with probability p; the others grow by 1/(1 - p).

Shapes    x (any)   ->   y (the same)
Forward   y = x * mask / (1 - p)     mask[i] = 1 if u[start + i] >= p, else 0     u uniform in [0, 1)
Backward  grad_x = grad_out * mask / (1 - p)
Saves     nothing: u is a pure function of (key, call) and of the position ("counter-based": minicnn/random.py), so
          backward draws the same numbers again, and so does a run that is repeated or resumed
Start     0; for a part of a batch (random.rows) the position of its first number in the whole batch, so that parts
          are dropped as the whole would be
Note      "Inverted" dropout: the growth by 1/(1 - p) keeps the expected value, so that evaluation needs no change at
          all. The 2012 network halved the outputs in evaluation instead.
Mirrors   kernels/cpu/dropout.py   kernels/numba_cuda/dropout.py   kernels/cuda/dropout.cu
Test      tests/ops/test_dropout.py
Source    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014
"""

import numpy as np

from ..autograd import Function
from ..random import first_row, next_dropout_stream, philox_uniform
from ..settings import flag, real
from ..types import Array
from ..variable import V
from .arguments import check_tensors


def dropout(input: V, p: float = 0.5, training: bool = True, inplace: bool = False) -> V:
    """Zero values with probability p in training; otherwise the input itself. Repeats under ``manual_seed``.

    Within ``random.rows(first)`` the mask is the one that rows first, first + 1, ... of a larger input have.
    """
    check_tensors("dropout", {"input": input})
    p = real("dropout", "p", p, at_least=0, at_most=1)
    training, inplace = flag("dropout", "training", training), flag("dropout", "inplace", inplace)
    if not training or p == 0:
        return input  # the same tensor: neither an op nor a copy
    return Dropout.apply(input, p=p, stream=next_dropout_stream(), inplace=inplace)  # stream: (key, number of calls)


class Dropout(Function):
    takes_bfloat16 = True

    def forward(self, x, p, stream, inplace):
        self.draw = p, *stream, _start(x)  # (p, key, call, start): all that the mask is made from
        if inplace:
            self.overwrite(x)  # refuses where the old values are still needed
        return self.run(dropout_forward, x, *self.draw, x if inplace else None)

    def backward(self, grad_out):
        return self.run(dropout_forward, grad_out, *self.draw, None)  # linear: its own gradient


def _start(x):
    """Where in the whole batch x begins: how many numbers the rows before it have. A single number is no row: 0."""
    return first_row() * (x.size // x.shape[0]) if x.ndim and x.size else 0


def dropout_forward(x: Array, p: float, key: int, call: int, start: int, out: Array | None) -> Array:
    """y = x * mask / (1 - p), written into `out` if that is not None; x[0] gets number `start` of the stream."""
    kept = philox_uniform(key, call, start, x.size).reshape(x.shape) >= p  # true with probability 1 - p
    scale = 0 if p == 1 else 1 / (1 - p)  # at p = 1 nothing is kept
    return np.multiply(x, kept * x.dtype.type(scale), out=out)  # Python's float would make float64 of float32
