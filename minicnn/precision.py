"""In which numbers a network computes: float32, or fewer digits for less memory traffic and faster products.

    minicnn.set_precision("bfloat16")                       for every op of the process from now on
    with minicnn.precision("bfloat16"): y = model(x)        for those of the block

              binary digits   range    what it holds for
    float32        24         1e38     everything (the default)
    bfloat16        8         1e38     activations and their gradients, on every device
    tf32           11         1e38     the factors of products, on device "cuda", tier "fast"
    float16        11         65504    the factors of products, likewise; one beyond 65504 is infinite

bfloat16, end to end. A float32 input of a convolution or a linear layer is rounded to bfloat16 (``ops/cast.py``), and
their results are bfloat16; so are those of every op behind them, up to the scores:

    x float32 ──► Cast ──► Conv2d ──► BatchNorm ──► ReLU ──► ... ──► Linear ──► CrossEntropy ──► loss float32
                  bfloat16 ────────────────────────────────────────────────────►
    weights, their gradients, what batch norm knows of a channel, sums and losses: float32 throughout

One rule holds for every op: bfloat16 inputs are read exactly, all arithmetic is float32, and each result that is
bfloat16 is rounded once, to the nearest number, to the even one of two. Weights are float32 ("masters": most updates of
a weight are smaller than the last digit of a bfloat16 number); where they are a factor of a product, the product takes
them rounded. An op's page says by ``float32`` which results of its functions stay float32, and which arguments are such
factors. What has been computed in bfloat16 goes back in bfloat16, whatever the precision is by then.

tf32 and float16 only round factors on their way into a product: arrays stay float32. float64 arrays are never rounded.

Source    Kalamkar et al., "A study of BFLOAT16 for deep learning training", 2019; Micikevicius et al., "Mixed precision
          training", ICLR 2018 (float32 masters)
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import ml_dtypes
import numpy as np

from .switch import Block, Choice
from .types import Array

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)  # 1 bit for the sign, 8 for the exponent, 7 for the digits behind the first

F = TypeVar("F", bound=Callable[..., Any])

_precision = Choice("precision", PRECISIONS, "float32")


def current_precision() -> str:
    """The precision that ops of this thread have now: one of PRECISIONS."""
    return _precision.current()


def set_precision(name: str) -> None:
    """Choose the precision of every op of the process from now on.

    Another thread's ``with precision(...)`` block keeps its own until its end.
    """
    _precision.set("set_precision", name)


class precision(Block):
    """``with precision("bfloat16"): ...`` (or as a decorator) computes in that precision inside, in this thread."""

    def __init__(self, name: str) -> None:
        super().__init__(*_precision.inside("precision", name))


def rounding(array: Array) -> str | None:
    """ "tf32" or "float16" where the factors of a product of such arrays are to be rounded to it now; else None."""
    name = current_precision()
    return name if name in ("tf32", "float16") and array.dtype == "float32" else None


# What an op's page says of its functions

ALL = (0, 1, 2, 3)  # every result


class Float32(NamedTuple):
    """Of a function of an op's page: places of its results that stay float32, and of its arguments that are factors."""

    results: tuple[int, ...] = ()
    factors: tuple[int, ...] = ()


NONE = Float32()  # of a function that says nothing: every result has the dtype of the input


def float32(*, results: tuple[int, ...] = (), factors: tuple[int, ...] = ()) -> Callable[[F], F]:
    """``@float32(results=(1, 2), factors=(3,))`` before a function of an op's page: what bfloat16 means for it.

    results   places of the results that stay float32: sums, statistics, gradients of weights. 0 is the only result
    factors   places of float32 arguments that a product takes rounded to bfloat16
    """

    def marked(function: F) -> F:
        function.float32 = Float32(results, factors)  # type: ignore[attr-defined]
        return function

    return marked


def takes_bfloat16(function: F) -> F:
    """The mark of a kernel's function that takes bfloat16 arrays as they are, and gives what the page's rule says."""
    function.takes_bfloat16 = True  # type: ignore[attr-defined]
    return function


def wide(array: Any) -> Any:
    """A bfloat16 array in float32, exactly; anything else as it is."""
    return array.astype(np.float32) if getattr(array, "dtype", None) == BFLOAT16 else array


def wide_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which an op computes, and keeps sums and statistics, beside arrays of this one."""
    return np.dtype(np.float32) if dtype == BFLOAT16 else dtype


def narrow(array: Any) -> Any:
    """A float32 array rounded to bfloat16; anything else as it is."""
    if getattr(array, "dtype", None) != np.float32:
        return array
    with np.errstate(invalid="ignore", over="ignore"):  # a NaN stays one, and what is too large becomes infinite
        return array.astype(BFLOAT16)


def by_rule(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of an op's page gives: as it is, or of bfloat16 arrays by the rule at the top."""
    if getattr(arguments[0], "dtype", None) == BFLOAT16:
        return widened(function, function, arguments)
    return function(*arguments)


def widened(implementation: Callable[..., Any], reference: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What `implementation`, which knows no bfloat16, makes of bfloat16 `arguments` by the rule at the top.

    reference: the function of the op's page, which says what stays float32
    """
    stays: Float32 = getattr(reference, "float32", NONE)
    given = list(arguments)
    for place in stays.factors:
        given[place] = narrow(given[place])
    given = [tuple(map(wide, each)) if type(each) is tuple else wide(each) for each in given]
    found = implementation(*given)
    results = found if isinstance(found, tuple) else (found,)
    for argument, copy in zip(arguments, given, strict=True):
        if copy is not argument and any(result is copy for result in results):  # it was written into, in place
            argument[...] = narrow(copy)
            results = tuple(argument if result is copy else result for result in results)
    results = tuple(each if i in stays.results else narrow(each) for i, each in enumerate(results))
    return results if isinstance(found, tuple) else results[0]
