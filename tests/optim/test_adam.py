"""Adam and AdamW against PyTorch's, step by step, on every device and tier, and interrupted halfway."""

import numpy as np
import pytest
from checks import check_close, raises
from hypothesis import given
from hypothesis import strategies as st
from steps import check_it_continues, check_ten_steps_equal_torch, leaf, moved, parameters
from strategies import PERHAPS, SEEDS

from minicnn import optim
from minicnn.device import to_device
from minicnn.optim import Adam, AdamW

SETTINGS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([0.1, 1e-3]),
        "betas": st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99), (0.9, 0.0)]),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": st.sampled_from([0.0, 1e-2, 0.3]),
        "amsgrad": PERHAPS,
    }
)
KINDS = st.sampled_from(["Adam", "AdamW"])


@given(kind=KINDS, settings=SETTINGS, seed=SEEDS)
def test_ten_steps_equal_torch(torch, place, kind, settings, seed):
    check_ten_steps_equal_torch(torch, place, kind, settings, {"lr": 0.02, "betas": (0.8, 0.99)}, seed)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_float32_is_within_a_few_ulp_of_torch(torch, place, kind):
    """Though 1 - 0.999 has few right digits in float32."""
    originals = parameters(0, [(40, 30)], np.float32)
    ours, theirs = (
        [moved(place, p) for p in originals],
        [torch.nn.Parameter(torch.from_numpy(originals[0].numpy().copy()))],
    )
    optimizers = [getattr(optim, kind)(ours, weight_decay=0.1), getattr(torch.optim, kind)(theirs, weight_decay=0.1)]
    for step in range(10):
        grad = np.random.default_rng(step).standard_normal((40, 30)).astype(np.float32)
        ours[0].grad, theirs[0].grad = ours[0].like(to_device(grad, place.device)), torch.from_numpy(grad)
        for optimizer in optimizers:
            optimizer.step()
    ours, theirs = to_device(ours[0].data, "cpu"), theirs[0].detach().numpy()
    assert ours.dtype == np.float32
    assert (np.abs(ours - theirs) <= 4 * np.spacing(np.maximum(np.abs(theirs), 1e-2))).all()


def test_the_first_steps_by_hand():
    """With gradients 2, then 4, betas of 1/2 and no eps: m_hat / sqrt(v_hat) is 1, then (10/3) / sqrt(12)."""
    (w,) = parameters(0, [(1,)])
    w.detach()[...] = 1
    optimizer = AdamW([w], lr=0.1, betas=(0.5, 0.5), eps=0.0, weight_decay=0.5)
    expected = 1.0
    for grad, step in ((2.0, 1.0), (4.0, 10 / 3 / np.sqrt(12))):
        w.grad = w.like(np.array([grad]))
        optimizer.step()
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * step
        check_close(w.numpy(), np.array([expected]), 1e-14)


def test_the_scale_of_the_gradients_makes_no_difference(place):
    small, large = ([moved(place, p) for p in parameters(0, [(3, 5)])] for _ in range(2))
    for tensors, scale in ((small, 1e-3), (large, 1e3)):
        optimizer = Adam(tensors, lr=0.1, eps=0.0)
        for step in range(3):
            grad = scale * np.random.default_rng(step).standard_normal((3, 5))
            tensors[0].grad = tensors[0].like(to_device(grad, place.device))
            optimizer.step()
    check_close(to_device(small[0].data, "cpu"), to_device(large[0].data, "cpu"), 1e-12)


def test_a_schedule_changes_its_rate(torch):
    ours = parameters(0)
    theirs = [torch.nn.Parameter(torch.from_numpy(p.numpy().copy())) for p in ours]
    optimizers = AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    schedules = (
        optim.lr_scheduler.StepLR(optimizers[0], 2, 0.5),
        torch.optim.lr_scheduler.StepLR(optimizers[1], 2, 0.5),
    )
    for _ in range(5):
        for our, their in zip(ours, theirs, strict=True):
            our.grad, their.grad = our.like(np.ones(our.shape)), torch.ones_like(their)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
    for our, their in zip(ours, theirs, strict=True):
        check_close(our.numpy(), their.detach().numpy(), 1e-12)


def test_gradients_are_left_alone(place):
    """Another backward pass may add to them."""
    (w,) = [moved(place, p) for p in parameters(0, [(3, 5)])]
    grad = np.random.default_rng(1).standard_normal((3, 5))
    w.grad = w.like(to_device(grad.copy(), place.device))
    Adam([w], lr=0.1, weight_decay=0.5).step()
    assert np.array_equal(to_device(w.grad.data, "cpu"), grad)


@given(kind=KINDS, settings=SETTINGS, seed=SEEDS)
def test_continues_exactly_from_a_saved_state(kind, settings, seed):
    check_it_continues(getattr(optim, kind), settings, seed)


def test_what_is_kept_has_the_names_of_torch():
    tensors = parameters(0)
    optimizer = Adam(tensors[:2], amsgrad=True)
    tensors[0].grad = tensors[0].like(np.ones(tensors[0].shape))
    optimizer.step()
    optimizer.step()
    assert optimizer.state[tensors[0]].keys() == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert optimizer.state[tensors[0]]["step"] == 2 and optimizer.state[tensors[1]] == {}
    assert optimizer.state_dict().keys() == {"groups", "steps", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"}
    assert optimizer.state_dict()["steps"] == [2, None]


def test_a_mean_that_is_taken_away_begins_anew(place):
    (w,) = [moved(place, p) for p in parameters(0, [(2,)])]
    optimizer = Adam([w], betas=(0.75, 0.999))
    w.grad = w.like(to_device(np.ones(2), place.device))
    optimizer.step()
    optimizer.state[w]["exp_avg"] = None
    optimizer.step()
    check_close(to_device(optimizer.state[w]["exp_avg"], "cpu"), np.full(2, 0.25), 0)


def test_amsgrad_that_is_turned_on_later_begins_with_the_next_squares():
    (w,) = parameters(0, [(2,)])
    optimizer = Adam([w], lr=0.1, amsgrad=False)
    w.grad = w.like(np.ones(2))
    optimizer.step()
    optimizer.param_groups[0]["amsgrad"] = True
    optimizer.step()
    assert np.array_equal(optimizer.state[w]["max_exp_avg_sq"], optimizer.state[w]["exp_avg_sq"])


@pytest.mark.parametrize(
    "settings, error, parts",
    [
        ({"lr": -0.1}, ValueError, ["lr", "-0.1"]),
        ({"lr": "0.1"}, TypeError, ["lr", "'0.1'"]),
        ({"betas": 0.9}, TypeError, ["betas", "pair", "0.9"]),
        ({"betas": (0.9,)}, TypeError, ["betas", "pair"]),
        ({"betas": (0.9, 1.0)}, ValueError, ["betas", "below 1", "1.0"]),
        ({"betas": (-0.1, 0.9)}, ValueError, ["betas", "at least 0", "-0.1"]),
        ({"betas": (0.9, "0.999")}, TypeError, ["betas", "'0.999'"]),
        ({"eps": -1e-8}, ValueError, ["eps"]),
        ({"eps": np.nan}, ValueError, ["eps", "nan"]),
        ({"weight_decay": -1}, ValueError, ["weight_decay"]),
        ({"amsgrad": "yes"}, TypeError, ["amsgrad", "True or False", "'yes'"]),
    ],
)
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_settings_are_looked_at_when_given_and_before_each_step(kind, settings, error, parts):
    w = leaf()
    with raises(error, kind.__name__, *parts):
        kind([w], **settings)
    optimizer = kind([w])
    optimizer.param_groups[0].update(settings)
    w.grad = w.like(np.ones((3, 2), np.float32))
    with raises(error, kind.__name__, *parts):
        optimizer.step()
    assert (w.numpy() == 1).all() and optimizer.state_dict()["steps"] == [None]


def good_state():
    w = leaf()
    optimizer = AdamW([w], lr=0.5, amsgrad=True)
    w.grad = w.like(np.ones((3, 2), np.float32))
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    "damage, parts",
    [
        (lambda s: None, ["groups, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps", "NoneType"]),
        (lambda s: {"groups": [], "velocities": []}, ["the lists groups, exp_avgs", "has groups, velocities"]),
        (lambda s: s | {"groups": [{"lr": 0.1}]}, ["group", "betas"]),
        (lambda s: s | {"groups": [s["groups"][0] | {"betas": 0.9}]}, ["betas", "0.9"]),
        (lambda s: s | {"steps": []}, ["0 or 1 parameters"]),
        (lambda s: s | {"steps": [None]}, ["parameter 0", "no step"]),
        (lambda s: s | {"steps": [0]}, ["steps[0]", "at least 1", "0"]),
        (lambda s: s | {"steps": [1.5]}, ["steps[0]", "whole", "1.5"]),
        (lambda s: s | {"steps": [10**400]}, ["steps[0]", "at most"]),
        (lambda s: s | {"steps": [True]}, ["steps[0]", "True"]),
        (lambda s: s | {"exp_avgs": [None]}, ["parameter 0", "no exp_avg"]),
        (lambda s: s | {"exp_avg_sqs": [None]}, ["parameter 0", "no exp_avg_sq"]),
        (lambda s: s | {"exp_avg_sqs": [np.ones((2, 3))]}, ["exp_avg_sqs[0]", "(2, 3)", "(3, 2)"]),
        (lambda s: s | {"exp_avg_sqs": [-np.ones((3, 2))]}, ["parameter 0", "negative"]),
        (lambda s: s | {"max_exp_avg_sqs": [-np.ones((3, 2))]}, ["parameter 0", "negative"]),
        (lambda s: s | {"exp_avgs": [np.full((3, 2), "a")]}, ["exp_avgs[0]", "numbers"]),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage, parts):
    optimizer = AdamW([leaf()], lr=0.1)
    before = optimizer.state_dict()
    with raises((TypeError, ValueError), "AdamW.load_state_dict" if "betas" not in parts else "AdamW", *parts):
        optimizer.load_state_dict(damage(good_state()))
    assert optimizer.state_dict() == before
    optimizer.load_state_dict(good_state())
    assert optimizer.state_dict()["steps"] == [1] and optimizer.param_groups[0]["lr"] == 0.5


def test_a_step_that_was_made_nonsense_is_refused():
    w = leaf()
    optimizer = Adam([w])
    w.grad = w.like(np.ones((3, 2), np.float32))
    optimizer.state[w]["step"] = -1
    with raises(ValueError, "Adam", "step", "-1"):
        optimizer.step()


def test_a_setting_of_torch_that_is_not_here():
    for absent in ("foreach", "fused", "maximize", "capturable", "differentiable"):
        with raises(TypeError, absent):
            Adam([leaf()], **{absent: True})
