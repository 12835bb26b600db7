"""Methods of a Tensor that work element by element; each is an op of ``minicnn/ops/``, or a question with a yes or no.

The names are PyTorch's; what they compute, and what its gradient is, stands on the pages they call.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ..device import array_module
from ..ops import activation, arithmetic, choice, operands, rounding, softmax
from ..ops.arguments import with_numpys_words
from ..variable import Variable


class Elementwise(Variable):
    """A Variable with functions of its elements."""

    # Smooth functions

    def exp(self) -> Self:
        """e ** x."""
        return arithmetic.exp(self)

    def log(self) -> Self:
        """The natural logarithm."""
        return arithmetic.log(self)

    def abs(self) -> Self:
        """The absolute value."""
        return arithmetic.abs(self)

    def pow(self, exponent: float) -> Self:
        """``x ** exponent``."""
        return arithmetic.pow(self, exponent)

    def square(self) -> Self:
        """``x * x``; of booleans 0 and 1."""
        x = operands.as_integers(self)
        return arithmetic.mul(x, x)

    def sqrt(self) -> Self:
        """``x ** 0.5``."""
        return arithmetic.pow(self, 0.5)

    def relu(self) -> Self:
        """max(x, 0)."""
        return activation.relu(self)

    def sigmoid(self) -> Self:
        """1 / (1 + exp(-x))."""
        return activation.sigmoid(self)

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        return activation.tanh(self)

    @with_numpys_words
    def softmax(self, dim: int) -> Self:
        """Probabilities over the axis `dim`."""
        return softmax.softmax(self, dim)

    @with_numpys_words
    def log_softmax(self, dim: int) -> Self:
        """The logarithms of ``softmax``, without overflow."""
        return softmax.log_softmax(self, dim)

    # Bounds, steps, choices

    def clamp(self, min: float | None = None, max: float | None = None) -> Self:
        """At least `min` and at most `max`."""
        return arithmetic.clamp(self, min, max)

    clip = clamp

    def floor(self) -> Self:
        """Rounded down; whole numbers stay."""
        return rounding.step("floor", self)

    def ceil(self) -> Self:
        """Rounded up; whole numbers stay."""
        return rounding.step("ceil", self)

    def round(self) -> Self:
        """The nearest whole number; of two, the even one."""
        return rounding.step("round", self)

    def trunc(self) -> Self:
        """Rounded towards 0: without what stands behind the point."""
        return rounding.step("trunc", self)

    def sign(self) -> Self:
        """-1, 0 or 1."""
        return rounding.step("sign", self)

    def maximum(self, other: Any) -> Self:
        """The larger of this and `other`."""
        return choice.maximum(self, other)

    def minimum(self, other: Any) -> Self:
        """The smaller of this and `other`."""
        return choice.minimum(self, other)

    def where(self, condition: Any, other: Any) -> Self:
        """This where `condition` is true, else `other`."""
        return choice.where(condition, self, other)

    def masked_fill(self, mask: Any, value: float) -> Self:
        """`value` where `mask` is true, else this."""
        return choice.masked_fill(self, mask, value)

    # The operators, by name

    def add(self, other: Any, *, alpha: float = 1) -> Self:
        """``x + alpha * other``."""
        return arithmetic.add(self, other if alpha == 1 else alpha * other)

    def sub(self, other: Any, *, alpha: float = 1) -> Self:
        """``x - alpha * other``."""
        return arithmetic.sub(self, other if alpha == 1 else alpha * other)

    def mul(self, other: Any) -> Self:
        """``x * other``."""
        return arithmetic.mul(self, other)

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Self:
        """``x / other``; with rounding_mode="floor", ``x // other``."""
        if rounding_mode not in (None, "floor"):
            raise ValueError(
                f"div: rounding_mode may be 'floor', not {rounding_mode!r}; (a / b).trunc() goes towards 0"
            )
        return rounding.floor_divide(self, other) if rounding_mode else arithmetic.div(self, other)

    def neg(self) -> Self:
        """``-x``."""
        return arithmetic.neg(self)

    # Questions, answered outside the graph

    def isnan(self) -> Self:
        """Which elements are NaN, "not a number"."""
        return self.like(array_module(self.data).isnan(self.data))

    def isinf(self) -> Self:
        """Which elements are infinite."""
        return self.like(array_module(self.data).isinf(self.data))

    def isfinite(self) -> Self:
        """Which elements are neither NaN nor infinite."""
        return self.like(array_module(self.data).isfinite(self.data))

    def isclose(self, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Self:
        """Where this is within atol + rtol * abs(other) of `other`, a Tensor of one dtype with it."""
        operands.check_alike("isclose", self, other)
        return self.like(array_module(self.data).isclose(self.data, other.data, rtol, atol, equal_nan))

    def allclose(self, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
        """Whether ``isclose`` holds for all elements; True or False."""
        return bool(np.asarray(self.isclose(other, rtol, atol, equal_nan)).all())

    def equal(self, other: Any) -> bool:
        """Whether the two have one shape, and the same values; True or False."""
        operands.check_alike("equal", self, other)
        return self.data.shape == other.data.shape and bool((self.data == other.data).all())
