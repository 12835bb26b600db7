"""Normalising by the covariance of whole pictures: turned, scaled to variance one, turned back.

A picture x is a vector of D = C*H*W numbers. Over the training set these have a mean m and a covariance matrix S,
S = E diag(v) E^T, whose eigenvectors E (one a column) are the principal axes and whose eigenvalues v the variances
along them, the largest first. The covariance of what comes out:

    PCA         E^T (x - m)                              diag(v): decorrelated
    Whitening   diag(v + epsilon)^(-1/2) E^T (x - m)     the identity, if epsilon is 0
    ZCA         E Whitening(x)                           the identity, too; and of all such, the nearest to x - m

The numbers of PCA and Whitening belong to axes, no longer to pixels: they come as (N, D), or (N, components), the
first ones alone. ZCA turns back, so its results are pictures (N, C, H, W), which a convolution can see. With networks
none of the three is common: a covariance has D^2 numbers, and pictures of 3 x 224 x 224 a covariance of 181 GB.

Sums and products are float64, results float32.

Source: Bell and Sejnowski 1997, "The 'independent components' of natural scenes are edge filters" (ZCA);
Krizhevsky 2009, "Learning multiple layers of features from tiny images", appendix A.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..device import naming_memory_errors
from ..settings import real, whole
from ..types import Array
from .covariance import Covariance, principal_axes
from .normalize import Normalize, check_any

MOST_VALUES = 2**13  # of a picture; its covariance then has 512 MiB, and a fit needs three such matrices
CHUNK = 1024  # pictures that are float64 at the same time


class _PrincipalAxes(Normalize):
    """What the three share: the fit, and that a batch is multiplied by one matrix."""

    fields = ("mean", "eigenvalues", "eigenvectors", "epsilon")
    dtype = np.float64  # a small variance's axis is scaled up, with the errors of what was float32

    def __init__(self, components: int | None = None, epsilon: float = 0.0) -> None:
        super().__init__()
        self.components = components if components is None else whole(self, "components", components)
        self.epsilon = np.array(real(self, "epsilon", epsilon, at_least=0))
        self.matrix: Any = None  # (D, values that come out): what it multiplies by

    def fit(self, batches: Iterable[Array]) -> "_PrincipalAxes":
        sums, shape = Covariance(0), ()
        for batch in self._checked(batches):
            if not sums.count:
                shape = batch.shape[1:]
                sums = Covariance(self._values_of(shape))
            for start in range(0, len(batch), CHUNK):
                sums.add(batch[start : start + CHUNK].reshape(-1, len(sums.total)))
        check_any(self, sums.count)
        values, vectors = principal_axes(sums.matrix())
        self._check_variances(values[: self.components], len(values), sums.count)
        self.mean = sums.mean().reshape(shape)
        self.eigenvalues, self.eigenvectors = values[: self.components], vectors[:, : self.components]
        self.matrix = self._matrix()
        return self

    def __call__(self, batch: Array) -> Array:
        """uint8 (N, [views,] C, H, W) -> float32 (N, [views,] values), of ZCA pictures again, on the batch's device."""
        self._check_fitted()
        self._check_batch(batch, self.mean.shape, dims=(4, 5))
        mean, matrix = self._beside(batch, "mean"), self._beside(batch, "matrix")
        with naming_memory_errors("Normalize"):
            rows = (batch.astype(np.float64) - mean).reshape(-1, mean.size)  # (N * views, D)
            return (rows @ matrix).astype(np.float32).reshape(*batch.shape[:-3], *self._shape_out())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        size, kept = self.mean.size, self.eigenvalues.size
        if self.mean.ndim != 3 or self.eigenvectors.shape != (size, kept) or self.eigenvalues.ndim != 1:
            shapes = ", ".join(f"{name} {getattr(self, name).shape}" for name in self.fields)
            raise ValueError(f"{type(self).__name__}.load_state_dict: these do not belong together: {shapes}")
        self.components = None if kept == size else kept
        self.matrix = self._matrix()

    def _values_of(self, shape):
        """How many numbers a picture has, if their covariance is of a size that can be had."""
        size = int(np.prod(shape))
        name, picture = type(self).__name__, " x ".join(map(str, shape))
        if size > MOST_VALUES:
            matrix = f"their covariance {size:,} x {size:,}, {8e-9 * size**2:,.1f} GB"
            way_out = f"make the pictures smaller ({MOST_VALUES:,} values at most), or use ChannelMeanStd"
            raise ValueError(f"{name}.fit: pictures of {picture} have {size:,} values and {matrix}; {way_out}")
        if self.components is not None and self.components > size:
            raise ValueError(f"{name}.fit: components={self.components}, and pictures of {picture} have {size} values")
        return size

    def _check_variances(self, values, size, count):
        """Nothing to check where nothing is divided by them."""

    def _fixed_sizes(self, picture):
        return picture

    def _matrix(self):
        return self.eigenvectors

    def _shape_out(self):
        return self.eigenvalues.shape


class PCA(_PrincipalAxes):
    """Turn pictures onto their principal axes: (N, D), or (N, components), decorrelated, largest variance first."""

    def __init__(self, components: int | None = None) -> None:
        super().__init__(components)


class Whitening(_PrincipalAxes):
    """Turn onto the principal axes, and scale each to variance one: (N, D), or (N, components).

    epsilon, in grey levels squared, is added to every variance: the axes of the smallest ones, which are mostly noise,
    are then scaled up less. fit raises ValueError for an axis without any variance, unless there is an epsilon.
    """

    def _check_variances(self, values, size, count):
        smallest = size * np.finfo(np.float64).eps * max(values[0], 255**2)  # what is smaller is rounding
        if self.epsilon == 0 and values[-1] <= smallest:
            vary = f"{count:,} pictures of {size:,} values vary in {(values > smallest).sum():,} directions only"
            way_out = "give more pictures, or an epsilon above 0"
            raise ValueError(f"{type(self).__name__}.fit: {vary}, and no other can be scaled to one; {way_out}")

    def _matrix(self):
        return self.eigenvectors / np.sqrt(self.eigenvalues + self.epsilon)


class ZCA(Whitening):
    """Whitening, turned back: pictures (N, C, H, W), whose numbers have variance one and know nothing of each other.

    Their edges stand out, and what varies slowly is gone. epsilon is that of ``Whitening``.
    """

    def __init__(self, epsilon: float = 0.0) -> None:
        super().__init__(epsilon=epsilon)

    def _matrix(self):
        return super()._matrix() @ self.eigenvectors.T

    def _shape_out(self):
        return self.mean.shape
