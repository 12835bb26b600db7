"""RMSprop against PyTorch's, step by step, on every device and tier, and interrupted halfway."""

import numpy as np
import pytest
from checks import check_close, raises
from hypothesis import given
from hypothesis import strategies as st
from steps import check_it_continues, check_ten_steps_equal_torch, leaf, moved, parameters
from strategies import PERHAPS, SEEDS

from minicnn import Tensor
from minicnn.device import to_device
from minicnn.optim import RMSprop

SETTINGS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.1, 1e-3]),
        "alpha": st.sampled_from([0.99, 0.5, 0.0]),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": st.sampled_from([0.0, 0.3]),
        "momentum": st.sampled_from([0.0, 0.9]),
    }
)


@given(settings=SETTINGS, centered=PERHAPS, seed=SEEDS)
def test_ten_steps_equal_torch(torch, place, settings, centered, seed):
    settings = settings | {"centered": centered and settings["alpha"] > 0}  # else the spread is rounding alone
    other = {"lr": 0.02, "alpha": 0.9, "momentum": 0.5}
    check_ten_steps_equal_torch(torch, place, "RMSprop", settings, other, seed)


def test_the_first_steps_by_hand():
    """With gradients 2, then 4, alpha 3/4, momentum 1/2: s is 1, then 4.75; v is 2, then 1 + 4 / sqrt(4.75)."""
    (w,) = parameters(0, [(1,)])
    w.detach()[...] = 1
    optimizer = RMSprop([w], lr=0.1, alpha=0.75, eps=0.0, momentum=0.5)
    for grad, v in ((2.0, 2.0), (4.0, 1 + 4 / np.sqrt(4.75))):
        before = w.numpy().copy()
        w.grad = w.like(np.array([grad]))
        optimizer.step()
        check_close(w.numpy(), before - 0.1 * v, 1e-14)


def test_large_arrays_are_done_in_blocks_as_a_whole():
    """A parameter of several blocks has each row once; one that is a little beyond ends in a part of one."""
    (w,) = parameters(0, [(70_001,)])
    before, grad = w.numpy().copy(), np.random.default_rng(1).standard_normal(70_001)
    w.grad = w.like(grad)
    RMSprop([w], lr=0.5, alpha=0.0, eps=0.0).step()
    check_close(w.numpy(), before - 0.5 * np.sign(grad), 1e-12)


def test_gradients_of_no_spread_give_no_nan():
    """The mean of squares less the square of the mean may be less than 0 by rounding."""
    w = leaf()
    optimizer = RMSprop([w], alpha=0.9, centered=True)
    for _ in range(200):
        w.grad = w.like(np.full((3, 2), 0.3, np.float32))
        optimizer.step()
    assert np.isfinite(w.numpy()).all()


def test_a_loss_that_is_not_finite_changes_nothing(place):
    (w,) = [moved(place, p) for p in parameters(0, [(3, 5)])]
    optimizer, before = RMSprop([w], momentum=0.9, weight_decay=0.1), to_device(w.data, "cpu").copy()
    w.grad = w.like(to_device(np.ones((3, 5)), place.device))
    optimizer.step(loss=Tensor(to_device(np.array(np.nan), place.device)))
    assert np.array_equal(to_device(w.data, "cpu"), before)
    optimizer.step(loss=Tensor(to_device(np.array(1.0), place.device)))
    assert not np.array_equal(to_device(w.data, "cpu"), before)
    assert np.array_equal(to_device(w.grad.data, "cpu"), np.ones((3, 5)))  # another backward pass may add to them


@given(settings=SETTINGS, centered=PERHAPS, seed=SEEDS)
def test_continues_exactly_from_a_saved_state(settings, centered, seed):
    check_it_continues(RMSprop, settings | {"centered": centered}, seed)


@pytest.mark.parametrize(
    "settings, error, parts",
    [
        ({"lr": -0.1}, ValueError, ["lr", "-0.1"]),
        ({"alpha": 1.5}, ValueError, ["alpha", "1.5"]),
        ({"eps": np.nan}, ValueError, ["eps", "nan"]),
        ({"weight_decay": "0"}, TypeError, ["weight_decay", "'0'"]),
        ({"momentum": -1}, ValueError, ["momentum", "-1"]),
        ({"centered": 1}, TypeError, ["centered", "True or False"]),
    ],
)
def test_settings_are_looked_at_when_given_and_before_each_step(settings, error, parts):
    w = leaf()
    with raises(error, "RMSprop", *parts):
        RMSprop([w], **settings)
    optimizer = RMSprop([w])
    optimizer.param_groups[0].update(settings)
    w.grad = w.like(np.ones((3, 2), np.float32))
    with raises(error, "RMSprop", *parts):
        optimizer.step()
    assert (w.numpy() == 1).all()


@pytest.mark.parametrize(
    "damage, parts",
    [
        ({"square_avgs": [-np.ones((3, 2))]}, ["parameter 0", "negative"]),
        ({"square_avgs": [None]}, ["parameter 0", "no square_avg"]),
        ({"square_avgs": [np.ones((2, 3))]}, ["square_avgs[0]", "(2, 3)", "(3, 2)"]),
        ({"velocities": []}, ["0 or 1 parameters"]),
    ],
)
def test_a_damaged_state_is_refused(damage, parts):
    w = leaf()
    optimizer = RMSprop([w], momentum=0.9)
    w.grad = w.like(np.ones((3, 2), np.float32))
    optimizer.step()
    with raises(ValueError, "RMSprop.load_state_dict", *parts):
        optimizer.load_state_dict(optimizer.state_dict() | damage)
