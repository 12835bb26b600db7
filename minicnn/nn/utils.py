"""What is done to gradients between ``backward()`` and the optimiser's step, by the names of ``torch.nn.utils``.

    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

All gradients together are one long vector: where it is longer than `max_norm`, each of them is multiplied by the same
number, so that a step keeps its direction and loses length (Pascanu, Mikolov and Bengio, "On the difficulty of training
recurrent neural networks", ICML 2013, algorithm 1).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..absent import absent
from ..device import device_of
from ..immutable import is_writeable
from ..ops.norm import length
from ..ops.summation import total
from ..settings import flag, kind_of, real
from ..tensor import Tensor
from ..variable import Variable


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Make the norm of all gradients together at most `max_norm`. Returns the norm that they had, ().

    norm_type            2: the Euclidean norm; p: (sum |g|^p)^(1/p); inf: the largest absolute value
    error_if_nonfinite   RuntimeError, and nothing is changed, where the norm is not finite; it waits for a GPU. Else
                         gradients become 0 or NaN then
    """
    who = "clip_grad_norm_"
    max_norm = real(who, "max_norm", max_norm, at_least=0)
    if norm_type != np.inf:
        norm_type = real(who, "norm_type", norm_type, above=0)
    have = _with_gradients(who, parameters)
    if not have:
        return Tensor(np.zeros((), np.float32))
    norms = np.concatenate([_norm(p.grad.data, norm_type).reshape(1) for p in have])
    norm = _norm(norms, norm_type).reshape(())
    if flag(who, "error_if_nonfinite", error_if_nonfinite) and not np.isfinite(Tensor(norm).numpy()):
        what = f"{who}: the norm of the gradients is {Tensor(norm).item()}"
        raise RuntimeError(f"{what}, and they cannot be clipped; error_if_nonfinite=False lets it be")
    factor = np.minimum(max_norm / (norm + 1e-6), 1)  # 1e-6 as in PyTorch
    for p in have:
        _change(p, p.grad.data * factor.astype(p.grad.data.dtype))
    return Tensor(norm)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every number of every gradient into the range from -clip_value to clip_value."""
    clip_value = real("clip_grad_value_", "clip_value", clip_value, at_least=0)
    for p in _with_gradients("clip_grad_value_", parameters):
        _change(p, np.clip(p.grad.data, -clip_value, clip_value))


def _with_gradients(who, parameters):
    """The parameters that have a gradient; those lie on one device."""
    parameters = [parameters] if isinstance(parameters, Variable) else list(parameters)
    for p in parameters:
        if not isinstance(p, Variable):
            raise TypeError(f"{who}: parameters has a {kind_of(p)}; give Tensors, such as model.parameters()")
    have = [p for p in parameters if p.grad is not None]
    if len(devices := {device_of(p.grad.data) for p in have}) > 1:
        raise ValueError(f"{who}: gradients lie on {' and '.join(sorted(devices))}; clip those of one device at a time")
    return have


def _norm(g, norm_type):
    """Over all axes; each of them stays, with length 1."""
    axes = tuple(range(g.ndim))
    if norm_type == 2:
        return length(g, axes)
    if norm_type == np.inf:
        return np.abs(g).max(axis=axes, keepdims=True)
    return total(np.abs(g) ** norm_type, axes, keepdims=True) ** (1 / norm_type)


def _change(p, values):
    """In the gradient's own memory, unless that is one number which stands for many."""
    if is_writeable(p.grad.data):
        p.grad.data[...] = values
        p.grad.version.count += 1
    else:
        p.grad = p.grad.like(values)


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("utils", name)
