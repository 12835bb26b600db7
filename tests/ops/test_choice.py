"""where, maximum, minimum: values and gradients as PyTorch has them."""

import numpy as np
import pytest
from checks import (
    check_close,
    check_equals_torch,
    check_gradients,
    check_refuses_mixed_dtypes,
    forward,
    gradient,
    raises,
)

from minicnn import Tensor
from minicnn.ops import choice

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((3, 1))
MASK = RNG.random((2, 1, 4)) > 0.5


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_larger_and_the_smaller(place, torch, name):
    ours, theirs = getattr(choice, name), getattr(torch, name)
    check_gradients(place, ours, [A, B])
    for a, b in ((A, B), (A, A.copy()), (np.array([1.0, np.nan, 2.0]), np.array([1.0, 2.0, np.nan]))):
        check_equals_torch(place, ours, theirs, [a, b])
    check_refuses_mixed_dtypes(place, ours, [A, B])
    check_close(forward(place, lambda x: ours(0.5, x), A), getattr(np, name)(A, 0.5), 0)


def test_where(place, torch):
    mask = place.tensor(MASK)
    check_gradients(place, lambda a, b: choice.where(mask, a, b), [A, B])
    check_equals_torch(
        place,
        lambda a, b: choice.where(mask, a, b),
        lambda a, b: torch.where(torch.from_numpy(MASK), a, b),
        [A, B],
    )
    kept = gradient(place, lambda x: x.masked_fill(mask, -1.0), A)
    check_close(kept, np.broadcast_to(~MASK, A.shape).astype(float), 0)
    check_close(forward(place, lambda x: x.where(mask, 0.0), A), np.where(MASK, A, 0), 0)


def test_a_mask_that_changes_before_backward():
    mask, x = MASK.copy(), Tensor(A, requires_grad=True)
    y = choice.where(mask, x, 0.0).sum()
    mask[...] = False
    with raises(RuntimeError, "Where", "changed"):
        y.backward()


def test_errors():
    with raises(TypeError, "where", "mask of booleans", "int64"):
        choice.where(np.ones((2, 3, 4), int), Tensor(A), Tensor(B))
    with raises(TypeError, "where", "full_like"):
        choice.where(MASK, 1.0, 0.0)
    with raises(ValueError, "where", "(5,)", "(2, 3, 4)", "(3, 1)"):
        choice.where(np.ones(5, bool), Tensor(A), Tensor(B))
