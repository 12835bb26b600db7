"""Cross-entropy's corners: classes that weigh nothing and cannot be, labels that are ignored."""

import numpy as np
import pytest

from minicnn.kernels.cpu import cross_entropy as fast
from minicnn.ops import cross_entropy as plain

ONE = np.array(1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("impossible_target", [True, False])
def test_an_impossible_class_that_weighs_nothing_costs_nothing(smoothing, impossible_target):
    x = np.random.default_rng(0).standard_normal((4, 3))
    x[:, 1] = -np.inf
    weight = np.array([1.0, 0.0, 2.5])
    target = np.array([0, 1 if impossible_target else 2, 2, -100])
    arguments = target, weight, -100, smoothing
    value, logp, total = fast.cross_entropy_forward(x, *arguments)
    expected, expected_logp, expected_total = plain.cross_entropy_forward(x, *arguments)
    assert np.isfinite(value).all() and total == expected_total
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(logp, expected_logp, rtol=1e-12)
    for upstream in (np.array(0.7), np.arange(4.0)):
        np.testing.assert_allclose(
            fast.cross_entropy_backward(upstream, None, logp, *arguments, x.dtype),
            plain.cross_entropy_backward(upstream, None, logp, *arguments, x.dtype),
            atol=1e-12,
        )


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers(odd):
    x = np.random.default_rng(0).standard_normal((5, 4))
    x[1, 2], x[2], x[3, :2] = odd, odd, odd
    arguments = np.array([0, 1, 2, 3, 0]), None, -100, 0.0
    with np.errstate(all="ignore"):
        for value, expected in zip(
            fast.cross_entropy_forward(x, *arguments), plain.cross_entropy_forward(x, *arguments), strict=True
        ):
            np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("label", [3, -1, 10**10, np.iinfo(np.int64).min])
def test_a_label_that_no_class_has_is_not_used(label):
    """Whoever calls the kernels, in either direction, and however long ago the labels were looked at."""
    x = np.zeros((4, 3))
    for wrong in (0, 3):
        target = np.array([0, 1, 2, -100])
        target[wrong] = label
        _, logp, _ = fast.cross_entropy_forward(x, np.array([0, 1, 2, -100]), None, -100, 0.0)
        for call in (
            lambda target=target: fast.cross_entropy_forward(x, target, None, -100, 0.0),
            lambda target=target, logp=logp: fast.cross_entropy_backward(
                ONE, None, logp, target, None, -100, 0.0, logp.dtype
            ),
        ):
            with pytest.raises(IndexError, match=f"label {label}; there are classes 0 to 2"):
                call()
