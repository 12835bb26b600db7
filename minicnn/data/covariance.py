"""Mean and covariance of whole numbers, summed up as they come, and the directions in which they vary."""

import numpy as np

from ..types import Array


class Covariance:
    """Of vectors of D whole numbers, float64: their sums are exact below 2**53, so their order does not matter."""

    def __init__(self, size: int) -> None:
        self.count = 0
        self.total = np.zeros(size)
        self.products = np.zeros((size, size))  # the sum of x x^T

    def add(self, vectors: Array) -> None:
        """Vectors (N, D)."""
        vectors = vectors.astype(np.float64)
        self.count += len(vectors)
        self.total += vectors.sum(axis=0)
        self.products += vectors.T @ vectors

    def mean(self) -> Array:
        """(D,)"""
        return self.total / self.count

    def matrix(self) -> Array:
        """(D, D), divided by N: E[x x^T] - E[x] E[x]^T."""
        mean = self.mean()
        matrix = self.products / self.count
        matrix -= np.outer(mean, mean)
        return matrix


def principal_axes(covariance: Array) -> tuple[Array, Array]:
    """(eigenvalues (D,), largest first and none below zero, eigenvectors (D, D), one a column).

    A vector's largest number is positive: LAPACKs differ in the sign.
    """
    values, vectors = np.linalg.eigh(covariance)
    vectors *= np.sign(vectors[np.abs(vectors).argmax(axis=0), range(len(vectors))])
    return np.maximum(values[::-1], 0), np.ascontiguousarray(vectors[:, ::-1])
