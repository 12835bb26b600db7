"""Local response normalisation: a strong response damps its neighbours in the other channels.

Shapes    x (N, C, ...)   ->   y (the same)
Forward   s[c] = k + alpha/size * sum of x[j]^2 over the window of c: j from c - size//2 to c + (size-1)//2, in [0, C)
          y[c] = x[c] * s[c]^-beta
          With groups, each group of C/groups channels is normalised for itself: windows end at its ends.
Backward  x[c] counts in its own s[c] and in the s[j] of every window that c lies in, so
          grad_x[c] = grad_out[c] * s[c]^-beta
                      - 2*alpha*beta/size * x[c] * sum of grad_out[j] * x[j] * s[j]^(-beta-1)
          over the mirrored window, j from c - (size-1)//2 to c + size//2 (for an even size the two differ)
Saves     x (s is made again: size additions an element are cheaper than keeping another array)
Note      Here alpha is divided by size, as in PyTorch, Caffe and the 2012 code; the formula printed in the 2012 paper,
          and Chainer, do not divide. With alpha = 1e-4 the second term of the gradient is so small that a check at
          ordinary tolerance passes without it: the tests use alpha near 1.
Mirrors   kernels/cpu/lrn.py   kernels/numba_cuda/lrn.py   kernels/cuda/lrn.cu
Test      tests/ops/test_lrn.py
Source    Krizhevsky et al., NIPS 2012, section 3.3 (k = 2, size = 5, alpha = 1e-4, beta = 0.75)
"""

import numpy as np

from ..autograd import Function
from ..settings import real, whole
from ..types import Array
from ..variable import V
from .arguments import check_tensors


def local_response_norm(
    input: V, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, groups: int = 1
) -> V:
    """Normalise (N, C, ...) across neighbouring channels, as ``torch.nn.functional.local_response_norm`` does.

    groups: C is cut into that many groups of channels that do not see each other, as channels on several GPUs do not;
    PyTorch has no such argument. ValueError if it does not divide C.
    """
    check_tensors("local_response_norm", {"input": input})
    if input.data.ndim < 3:
        raise ValueError(f"local_response_norm: input must be (N, C, ...), got shape {input.data.shape}")
    size = whole("local_response_norm", "size", size)
    alpha, beta, k = (real("local_response_norm", *named) for named in (("alpha", alpha), ("beta", beta), ("k", k)))
    groups = whole("local_response_norm", "groups", groups)
    if input.data.shape[1] % groups:
        raise ValueError(f"local_response_norm: groups must divide {input.data.shape[1]} channels, got {groups}")
    return LocalResponseNorm.apply(input, size=size, alpha=alpha, beta=beta, k=k, groups=groups)


class LocalResponseNorm(Function):
    takes_bfloat16 = True

    def forward(self, x, size, alpha, beta, k, groups):
        self.save_for_backward(x)  # s is made again
        self.constants = size, alpha, beta, k, groups
        return self.run(local_response_norm_forward, x, *self.constants)

    def backward(self, grad_out):
        return self.run(local_response_norm_backward, grad_out, *self.saved, *self.constants)


def local_response_norm_forward(x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """y = x * s^-beta."""
    shape, x = x.shape, _apart(x, groups)
    return (x * _scale(x, size, alpha, k) ** -beta).reshape(shape)


def local_response_norm_backward(
    grad_out: Array, x: Array, size: int, alpha: float, beta: float, k: float, groups: int
) -> Array:
    """grad_x: what passes straight through, minus x times what it did to its neighbours."""
    shape, grad_out, x = x.shape, _apart(grad_out, groups), _apart(x, groups)
    s = _scale(x, size, alpha, k)
    grad_x = grad_out * s**-beta  # the straight way; divided by s it is the sum's grad_out * s^(-beta-1), too
    across = _window_sum(grad_x * x / s, before=(size - 1) // 2, after=size // 2)  # mirrored: who has c in its window
    return (grad_x - (2 * alpha * beta / size) * x * across).reshape(shape)


def _apart(a, groups):
    """(N, C, ...) as (N*groups, C/groups, ...): each group a picture of its own."""
    n, channels = a.shape[:2]
    return a.reshape(n * groups, channels // groups, *a.shape[2:])


def _scale(x, size, alpha, k):
    """s of the formula, like x."""
    return k + alpha / size * _window_sum(x * x, before=size // 2, after=(size - 1) // 2)


def _window_sum(a, before, after):
    """At each channel c, the sum of a over the channels c - before to c + after that exist."""
    channels = a.shape[1]
    total = np.zeros_like(a)  # (N, C, ...); beyond the ends there is nothing to add
    for shift in range(max(-before, -channels), min(after, channels) + 1):  # the neighbour c + shift, for all c at once
        low, high = max(0, -shift), min(channels, channels - shift)  # the channels c that have this neighbour
        total[:, low:high] += a[:, low + shift : high + shift]
    return total
