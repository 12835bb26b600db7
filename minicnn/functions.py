"""A Tensor's methods as functions, as PyTorch has them: ``minicnn.exp(x)`` is ``x.exp()``."""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from .ops import choice, linear, shape
from .ops.arguments import check_tensors
from .tensor import Tensor
from .variable import Variable

__all__ = [
    "abs", "add", "all", "allclose", "any", "argmax", "argmin", "argsort", "cat", "ceil", "chunk", "clamp", "clip",
    "clone", "cumsum", "div", "eq", "equal", "exp", "flatten", "flip", "floor", "ge", "gt", "is_tensor", "isclose",
    "isfinite", "isinf", "isnan", "le", "log", "log_softmax", "lt", "matmul", "max", "maximum", "mean", "min",
    "minimum", "mm", "mul", "ne", "neg", "norm", "numel", "permute", "pow", "relu", "reshape", "round", "sigmoid",
    "sign", "softmax", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "t", "tanh", "topk",
    "transpose", "trunc", "unbind", "unsqueeze", "var", "where",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")


def _function(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The method, with its Tensor as the first argument; TypeError, by the method's name, for what is none."""

    @functools.wraps(method)
    def function(input: Any, *args: P.args, **keywords: P.kwargs) -> R:
        check_tensors(method.__name__, {"input": input})
        return method(input, *args, **keywords)

    return function


exp, log, abs, pow = _function(Tensor.exp), _function(Tensor.log), _function(Tensor.abs), _function(Tensor.pow)
square, sqrt, neg, sign = (_function(m) for m in (Tensor.square, Tensor.sqrt, Tensor.neg, Tensor.sign))
relu, sigmoid, tanh = _function(Tensor.relu), _function(Tensor.sigmoid), _function(Tensor.tanh)
softmax, log_softmax = _function(Tensor.softmax), _function(Tensor.log_softmax)
clamp = clip = _function(Tensor.clamp)
floor, ceil, round, trunc = (_function(m) for m in (Tensor.floor, Tensor.ceil, Tensor.round, Tensor.trunc))
maximum, minimum = _function(Tensor.maximum), _function(Tensor.minimum)
add, sub, mul, div = (_function(m) for m in (Tensor.add, Tensor.sub, Tensor.mul, Tensor.div))
eq, ne, lt = _function(Tensor.eq), _function(Tensor.ne), _function(Tensor.lt)
le, gt, ge = _function(Tensor.le), _function(Tensor.gt), _function(Tensor.ge)
isnan, isinf, isfinite = _function(Tensor.isnan), _function(Tensor.isinf), _function(Tensor.isfinite)
isclose, allclose, equal = _function(Tensor.isclose), _function(Tensor.allclose), _function(Tensor.equal)

sum, mean, std, var = (_function(m) for m in (Tensor.sum, Tensor.mean, Tensor.std, Tensor.var))
max, min, argmax, argmin = (_function(m) for m in (Tensor.max, Tensor.min, Tensor.argmax, Tensor.argmin))
any, all, norm, cumsum = (_function(m) for m in (Tensor.any, Tensor.all, Tensor.norm, Tensor.cumsum))
sort, argsort, topk = _function(Tensor.sort), _function(Tensor.argsort), _function(Tensor.topk)

reshape, flatten, permute = _function(Tensor.reshape), _function(Tensor.flatten), _function(Tensor.permute)
transpose, t, flip = _function(Tensor.transpose), _function(Tensor.t), _function(Tensor.flip)
squeeze, unsqueeze = _function(Tensor.squeeze), _function(Tensor.unsqueeze)
split, chunk, unbind = _function(Tensor.split), _function(Tensor.chunk), _function(Tensor.unbind)
clone, numel = _function(Tensor.clone), _function(Tensor.numel)

where, matmul, mm = choice.where, linear.matmul, linear.matmul
cat, stack = shape.cat, shape.stack


def is_tensor(value: object) -> bool:
    """Whether it is a Tensor."""
    return isinstance(value, Variable)
