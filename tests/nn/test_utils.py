"""Clipped gradients against PyTorch's, on every device; the lines of tests/habits have the settings."""

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import nn
from minicnn.device import to_device
from minicnn.nn.utils import clip_grad_norm_, clip_grad_value_

GRADS = [np.asarray(np.random.default_rng(i).standard_normal(shape)) for i, shape in enumerate([(3, 4), (), (7,)])]


def parameters(place):
    made = [nn.Parameter(to_device(np.ones(grad.shape), place.device)) for grad in GRADS]
    for p, grad in zip(made, GRADS, strict=True):
        p.grad = p.like(to_device(grad.copy(), place.device))
    return [*made, nn.Parameter(to_device(np.ones(2), place.device))]  # the last has none


@pytest.mark.parametrize("most", [0.5, 100.0])
@pytest.mark.parametrize("norm_type", [2.0, np.inf, 1.5])
def test_the_norm_of_all_equals_torch(torch, place, norm_type, most):
    ours, theirs = (
        parameters(place),
        [torch.nn.Parameter(torch.ones(grad.shape, dtype=torch.float64)) for grad in GRADS],
    )
    for p, grad in zip(theirs, GRADS, strict=True):
        p.grad = torch.from_numpy(grad.copy())
    grads = [p.grad for p in ours]
    expected = torch.nn.utils.clip_grad_norm_(theirs, most, norm_type)
    check_close(clip_grad_norm_(ours, most, norm_type).numpy(), expected.numpy(), 1e-12)
    for our, their in zip(ours, theirs, strict=False):
        check_close(to_device(our.grad.data, "cpu"), their.grad.numpy(), 1e-12)
    assert all(p.grad is grad for p, grad in zip(ours, grads, strict=True))  # whoever has it, has the clipped one


def test_a_gradient_that_cannot_be_written_into(place):
    """One number that stands for many."""
    p = nn.Parameter(np.ones((2, 2)))
    p.grad = p.like(np.broadcast_to(np.array(3.0), (2, 2)))
    assert clip_grad_norm_(p, 3.0).item() == 6
    check_close(p.grad.numpy(), np.full((2, 2), 1.5), 1e-6)


def test_what_cannot_be_clipped(place):
    ours = parameters(place)
    ours[0].grad.data[0] = np.nan
    with raises(RuntimeError, "clip_grad_norm_", "nan"):
        clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    assert np.array_equal(to_device(ours[1].grad.data, "cpu"), GRADS[1])
    with raises(TypeError, "clip_grad_norm_", "tuple"):
        clip_grad_norm_(nn.Linear(2, 1).named_parameters(), 1.0)
    with raises(ValueError, "max_norm", "-1"):
        clip_grad_norm_(ours, -1)
    with raises(ValueError, "clip_value", "nan"):
        clip_grad_value_(ours, np.nan)
