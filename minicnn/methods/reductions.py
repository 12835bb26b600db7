"""Methods of a Tensor that look along axes: sums, means, the largest, the order.

What they compute, and what its gradient is, stands on the pages of ``minicnn/ops/`` that they call.
"""

from __future__ import annotations

from typing import Any, Self

from ..ops import arithmetic, order, reduction
from ..ops.arguments import with_numpys_words
from ..ops.norm import norm
from ..ops.reduction import Dim
from ..types import DTypeLike
from ..variable import Variable


class Reductions(Variable):
    """A Variable with functions of its axes. In here any, all, max and min are methods.

    axis= and keepdims= are taken, too, for dim= and keepdim=.
    """

    astype: Any  # Tensor's

    @with_numpys_words
    def sum(self, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None) -> Self:
        """The sum over the axes `dim`, or of all; with keepdim they stay, with length 1 (so for all below).

        dtype: converted to it first.
        """
        return reduction.sum(self if dtype is None else self.astype(dtype), dim, keepdim)

    @with_numpys_words
    def mean(self, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None) -> Self:
        """The mean over the axes `dim`, or of all; of what is converted to `dtype` first."""
        return reduction.mean(self if dtype is None else self.astype(dtype), dim, keepdim)

    @with_numpys_words
    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The largest; along an axis `dim`, a pair: the largest `values`, and the `indices` at which they stand."""
        return reduction.max(self, dim, keepdim)

    @with_numpys_words
    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The smallest; along an axis `dim`, a pair: the smallest `values`, and the `indices` at which they stand."""
        return reduction.min(self, dim, keepdim)

    @with_numpys_words
    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Where the (first) largest stands, as integers outside the graph."""
        return reduction.place("argmax", self, dim, keepdim)

    @with_numpys_words
    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Self:
        """Where the (first) smallest stands, as integers outside the graph."""
        return reduction.place("argmin", self, dim, keepdim)

    @with_numpys_words
    def norm(self, p: float = 2, dim: Dim = None, keepdim: bool = False) -> Self:
        """The length of the vector: the square root of the sum of squares; with p=1, of absolute values the sum."""
        if p not in (1, 2):
            raise ValueError(f"norm: p must be 2 or 1, got {p!r}; (x.abs() ** p).sum(dim) ** (1 / p) is another one")
        return norm(self, dim, keepdim) if p == 2 else arithmetic.abs(self).sum(dim, keepdim)

    @with_numpys_words
    def sort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> order.Ordered:
        """The `values` along an axis in order, and the `indices` at which they stood; equal ones stay as they were,
        `stable` or not."""
        return order.sort(self, dim, descending)

    @with_numpys_words
    def argsort(self, dim: int = -1, descending: bool = False, stable: bool = True) -> Self:
        """The indices that ``sort`` gives: ``x[x.argsort()]`` of a vector is in order."""
        return order.sort(self, dim, descending).indices

    @with_numpys_words
    def topk(self, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> order.Ordered:
        """The `values` and `indices` of the k largest along an axis, or of the smallest; they are in order."""
        return order.topk(self, k, dim, largest, sorted)

    @with_numpys_words
    def cumsum(self, dim: int) -> Self:
        """Running sums along an axis."""
        return order.cumsum(self, dim)

    @with_numpys_words
    def any(self, dim: Dim = None, keepdim: bool = False) -> Self:  # for masks, such as (x > 0).any()
        """Whether any of them is true, outside the graph."""
        return self.like(self.data.any(axis=dim, keepdims=keepdim))  # type: ignore

    @with_numpys_words
    def all(self, dim: Dim = None, keepdim: bool = False) -> Self:
        """Whether all of them are true, outside the graph."""
        return self.like(self.data.all(axis=dim, keepdims=keepdim))  # type: ignore

    @with_numpys_words
    def var(
        self, dim: Any = None, correction: int = 1, keepdim: bool = False,
        unbiased: bool | None = None,
    ) -> Self:  # fmt: skip
        """The variance over `dim`, the sum of squares divided by M - correction. ValueError for too few values.

        unbiased: PyTorch's older word; True is correction=1, False is correction=0.
        """
        away, divisor = self._from_mean("var", dim, correction if unbiased is None else int(unbiased))
        return (away * away).sum(dim, keepdim) / divisor

    @with_numpys_words
    def std(
        self, dim: Any = None, correction: int = 1, keepdim: bool = False,
        unbiased: bool | None = None,
    ) -> Self:  # fmt: skip
        """The square root of ``var``; where that is 0, its gradient is 0."""
        away, divisor = self._from_mean("std", dim, correction if unbiased is None else int(unbiased))
        return away.norm(2, dim, keepdim) / divisor**0.5

    def _from_mean(self, op, dim, correction):
        """What each value is away from the mean over `dim`, and by what the sum of its squares is divided."""
        mean = self.mean(dim, keepdim=True)
        count = self.numel() // mean.numel() if mean.numel() else 0
        if count <= correction:
            what = f"{count} values over dim {dim} of shape {self.data.shape}, and {correction} are taken off"
            raise ValueError(f"{op}: {what}")
        return self - mean, count - correction
