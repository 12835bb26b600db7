"""The checks that an op's function begins with, before it looks at shapes. Numbers: ``minicnn/settings.py``."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from ..settings import kind_of
from ..types import Shape
from ..variable import Variable

P = ParamSpec("P")
R = TypeVar("R")

NUMPYS_WORDS = {"axis": "dim", "keepdims": "keepdim"}


def with_numpys_words(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which takes axis= for dim= and keepdims= for keepdim=, too, as PyTorch's functions do."""

    @functools.wraps(function)
    def renamed(*args: P.args, **keywords: P.kwargs) -> R:
        for word, name in NUMPYS_WORDS.items() if keywords else ():  # mostly there are none
            if word in keywords:
                if name in keywords:
                    raise TypeError(f"{function.__name__}: {word}= and {name}= are one argument; give one of them")
                keywords[name] = keywords.pop(word)
        return function(*args, **keywords)

    return renamed


def check_tensors(op: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> None:
    """TypeError, by name, for an argument of `op` that is no Tensor; an optional one may be None."""
    given = {**required, **optional} if optional else required
    for name, value in given.items():
        if not isinstance(value, Variable) and not (value is None and name not in required):
            several = isinstance(value, (tuple, list)) and any(isinstance(each, Variable) for each in value)
            way_out = "give one of the Tensors in it" if several else "wrap it in minicnn.Tensor(...)"
            raise TypeError(f"{op}: {name} is a {kind_of(value)}, not a Tensor; {way_out}")


def axis(op: str, name: str, value: int, shape: Shape, more: int = 0) -> int:
    """The axis that `value` means, counted from 0; from behind where it is negative.

    more: how many axes there may be beyond those of `shape`. TypeError if it is no whole number, ValueError if there is
    no such axis.
    """
    ndim = len(shape) + more
    if not hasattr(value, "__index__") or isinstance(value, bool):  # ints have it, and NumPy's; floats do not
        raise TypeError(f"{op}: {name} must be a whole number, an axis of shape {shape}, got {value!r}")
    if not -ndim <= int(value) < ndim:
        place = "an axis of" if not more else "a place for an axis in"
        raise ValueError(f"{op}: {name} {value} is not {place} shape {shape}")
    return int(value) % ndim


def distinct_axes(op: str, name: str, values: Iterable[int], shape: Shape) -> Shape:
    """Several of them, counted from 0; ValueError if one is there twice."""
    axes = tuple(axis(op, name, value, shape) for value in values)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{op}: {name} has an axis of shape {shape} twice: {axes}")
    return axes
