"""LARS against the formula written out with PyTorch's SGD, step by step, on every device and tier."""

import numpy as np
import pytest
from checks import check_close, raises
from hypothesis import given
from hypothesis import strategies as st
from steps import SHAPES, check_it_continues, gradient, leaf, moved, parameters
from strategies import SEEDS

from minicnn.device import to_device
from minicnn.optim import LARS

SETTINGS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([1.0, 10.0]),
        "momentum": st.sampled_from([0.0, 0.9]),
        "weight_decay": st.sampled_from([0.0, 0.1]),
        "trust_coefficient": st.sampled_from([None, 0.001, 0.02]),
        "eps": st.sampled_from([0.0, 1e-8, 1e-2]),
    }
)


def adapted(w, weight_decay, trust, eps):
    """What the gradient of a torch parameter becomes before SGD's step."""
    d = w.grad + weight_decay * w.detach()
    if trust is None or not w.detach().norm():
        return d
    return d * trust * w.detach().norm() / (w.grad.norm() + weight_decay * w.detach().norm() + eps)


@given(settings=SETTINGS, seed=SEEDS)
def test_ten_steps_equal_sgd_along_the_adapted_gradient(torch, place, settings, seed):
    """A parameter without axes, one with gaps, one that has a gradient only later, one that begins at 0."""
    originals = parameters(seed, [*SHAPES, (2, 3), (5,)])
    originals[-1].detach()[...] = 0
    ours = [moved(place, p) for p in originals]
    theirs = [torch.nn.Parameter(torch.from_numpy(p.numpy().copy())) for p in originals]
    optimizer = LARS(ours, **settings)
    oracle = torch.optim.SGD(theirs, settings["lr"], settings["momentum"])
    for step in range(10):
        for i, (our, their) in enumerate(zip(ours, theirs, strict=True)):
            grad = gradient(seed, step, i, our.shape)
            our.grad = None if grad is None else our.like(to_device(grad, place.device))
            their.grad = None if grad is None else torch.from_numpy(grad)
            if grad is not None:
                their.grad = adapted(their, *(settings[n] for n in ("weight_decay", "trust_coefficient", "eps")))
        optimizer.step()
        oracle.step()
    for our, their in zip(ours, theirs, strict=True):
        check_close(to_device(our.data, "cpu"), their.detach().numpy(), 1e-10)


def test_the_first_step_by_hand():
    """|w| = 5, |grad| = 10: the step's length is lr * trust_coefficient * |w|, whatever the gradient's scale."""
    w = parameters(0, [(2,)])[0]
    w.detach()[...] = [3.0, 4.0]
    w.grad = w.like(np.array([6.0, 8.0]))
    LARS([w], lr=2.0, momentum=0.0, trust_coefficient=0.1, eps=0.0).step()
    check_close(w.numpy(), np.array([2.4, 3.2]), 1e-14)


def test_squares_that_overflow_do_not_stop_it():
    w = leaf()
    w.detach()[...] = 1e25
    w.grad = w.like(np.full((3, 2), 1e30, np.float32))
    LARS([w], lr=1.0, momentum=0.0, trust_coefficient=0.5).step()
    check_close(w.numpy() / np.float32(1e25), np.full((3, 2), 0.5, np.float32), 1e-6)


@given(settings=SETTINGS, seed=SEEDS)
def test_continues_exactly_from_a_saved_state(settings, seed):
    check_it_continues(LARS, settings, seed)


@pytest.mark.parametrize(
    "settings, error, parts",
    [
        ({"lr": -0.1}, ValueError, ["lr", "-0.1"]),
        ({"momentum": np.inf}, ValueError, ["momentum", "inf"]),
        ({"weight_decay": -1}, ValueError, ["weight_decay", "-1"]),
        ({"trust_coefficient": 0}, ValueError, ["trust_coefficient", "above 0"]),
        ({"trust_coefficient": "1"}, TypeError, ["trust_coefficient", "'1'"]),
        ({"eps": -1e-8}, ValueError, ["eps"]),
    ],
)
def test_settings_are_looked_at(settings, error, parts):
    with raises(error, "LARS", *parts):
        LARS([leaf()], **{"lr": 0.1, **settings})
