"""Gradients against finite differences: how to know that a backward pass is right.

For a function y = f(x), a random upstream gradient g of y's shape makes it one number, L = sum(g * y). Its gradient
from ``backward(g)`` must equal (L(x + eps e) - L(x - eps e)) / (2 eps) for every coordinate direction e.

Why float64: the difference loses about half the digits, and float32 has only seven. Why a *random* g and not ones: the
sum of a batch normalisation's output is a constant and so is that of a softmax; with ones, a backward pass that returns
zeros passes. Why eps = 1e-5: the truncation error (eps^2) and the rounding error (1e-16/eps) are both near 1e-10,
which lets the tolerances be a hundred times tighter than is usual. Keep values at least 10 eps away from kinks (ReLU
at 0) and ties (max-pool).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .device import device_of, host_array, is_array, plain_array, to_device
from .gradmode import enable_grad, no_grad
from .settings import real, whole
from .tensor import Tensor
from .types import Array


class GradcheckError(AssertionError):
    """A gradient that disagrees with finite differences."""


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Array | Tensor | Sequence[Array | Tensor],
    *,
    eps: float = 1e-5,
    atol: float = 1e-7,
    rtol: float = 1e-6,
    seed: int = 0,
    directions: int | None = None,
) -> bool:
    """True if the gradients of `function` are right at `inputs`; GradcheckError says where they are not.

    function    takes len(inputs) Tensors, returns one Tensor; must be deterministic (for dropout, seed it inside)
    inputs      float64 arrays or Tensors, or a single one; each of them is checked, Tensors on the device they are on
    directions  None: every coordinate. A number: only the slopes along so many random directions for each input, for
                functions whose coordinates are too many (a whole network)
    """
    if not (is_array(inputs) or isinstance(inputs, (Tensor, list, tuple))):
        raise TypeError(f"gradcheck: inputs is an array, a Tensor or a list of them, not a {type(inputs).__name__}")
    if directions is not None:
        directions = whole("gradcheck", "directions", directions)
    eps = real("gradcheck", "eps", eps, above=0)
    given: Any = inputs
    inputs = [given] if is_array(given) or isinstance(given, Tensor) else list(given)
    arrays = [np.array(host_array(x)) for x in inputs]
    for i, array in enumerate(arrays):
        if array.dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {getattr(inputs[i], 'dtype', array.dtype)}; finite differences need float64"
            )
    devices = [x.device if isinstance(x, Tensor) else device_of(plain_array(x)) for x in inputs]
    rng = np.random.default_rng(seed)
    tensors = [Tensor(to_device(x.copy(), d), requires_grad=True) for x, d in zip(arrays, devices, strict=True)]
    with enable_grad():  # also where the caller is inside no_grad
        y = function(*tensors)
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: the function must return one Tensor, not a {type(y).__name__}")
    if not y.requires_grad:
        raise GradcheckError("gradcheck: the result is in no graph: it depends on no input, or the graph was left")
    upstream = rng.standard_normal(y.shape)  # g
    y.backward(Tensor(to_device(upstream, y.device)))

    def value(i, direction):  # y at x + eps * direction: with -direction, before it
        moved = [x + eps * direction if j == i else x for j, x in enumerate(arrays)]  # the other inputs stay
        with no_grad():
            return function(*(Tensor(to_device(x, d)) for x, d in zip(moved, devices, strict=True))).numpy()

    for i, array in enumerate(arrays):
        if tensors[i].grad is None:
            raise GradcheckError(f"gradcheck: input {i} got no gradient")
        grad = tensors[i].grad.numpy()
        for name, direction in _directions(array.shape, directions, rng):
            slope = float((upstream * (value(i, direction) - value(i, -direction))).sum() / (2 * eps))
            claimed = float((grad * direction).sum())  # the gradient's slope along e
            if not abs(slope - claimed) <= atol + rtol * abs(slope):  # not >: NaN has to fail, too
                what = f"gradcheck: input {i}, shape {array.shape}, {name}: backward says {claimed:.9g}"
                raise GradcheckError(f"{what}, finite differences say {slope:.9g}, {abs(slope - claimed):.2g} apart")
    return True


def _directions(shape, count, rng):
    """(name, array of `shape`): every coordinate direction, or `count` random ones of length 1."""
    if count is None:
        for index in np.ndindex(*shape):
            direction = np.zeros(shape)
            direction[index] = 1
            yield f"index {index}", direction
    else:
        for k in range(count):
            direction = rng.standard_normal(shape)
            yield f"random direction {k}", direction / np.linalg.norm(direction)  # length 1, for atol's sake
