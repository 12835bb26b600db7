"""Schedules against torch.optim.lr_scheduler, period by period, and interrupted at every one."""

import functools
import json

import numpy as np
import pytest
from checks import raises
from schedules import KINDS, METRICS, optimizer, rates, warmup, warmup_then_plateau, warmup_then_steps

from minicnn import Tensor, nn
from minicnn.optim import Adam
from minicnn.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

PERIODS = 14
SCHEDULES = {
    "StepLR": {"step_size": 3, "gamma": 0.5},
    "MultiStepLR": {"milestones": [2, 7, 7], "gamma": 0.1},
    "CosineAnnealingLR": {"T_max": PERIODS, "eta_min": 0.01},
    "OneCycleLR": {"max_lr": [0.5, 0.2], "total_steps": PERIODS + 1, "pct_start": 0.4},
    "OneCycleLR alone": {"max_lr": 0.5, "total_steps": PERIODS + 1, "cycle_momentum": False, "div_factor": 4.0},
    "ReduceLROnPlateau": {"factor": 0.5, "patience": 1, "min_lr": 0.03},
    "ReduceLROnPlateau max": {"mode": "max", "factor": 0.1, "patience": 2, "threshold": 0.1},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_equals_torch(torch, name):
    kind, _, _ = name.partition(" ")
    ours = optimizer()
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": group["lr"]} for group in ours.param_groups]
    theirs = torch.optim.SGD(groups, lr=0.1)
    schedule = getattr(torch.optim.lr_scheduler, kind)(theirs, **SCHEDULES[name])
    expected = []
    for metric in METRICS:
        theirs.step()
        schedule.step(metric) if "Plateau" in kind else schedule.step()
        expected.append([group["lr"] for group in theirs.param_groups])
    np.testing.assert_allclose(rates(ours, make_schedule(name, ours)), expected, rtol=1e-12)
    assert [group["momentum"] for group in ours.param_groups] == pytest.approx(
        [g["momentum"] for g in theirs.param_groups]
    )


def test_one_cycle_begins_low_and_stays_at_its_end():
    """Of Adam, beta1 is the momentum."""
    opt = Adam([nn.Parameter(np.ones(1))], lr=9.0)
    schedule = OneCycleLR(opt, 1.0, total_steps=4, pct_start=0.5)
    (group,) = opt.param_groups
    assert group["lr"] == pytest.approx(0.04) and group["betas"] == pytest.approx((0.95, 0.999))
    found = rates(opt, schedule, METRICS[:6])[:, 0]
    np.testing.assert_allclose(found[[0, 2, 3, 5]], [1, 4e-6, 4e-6, 4e-6], rtol=1e-9)
    assert group["betas"] == pytest.approx((0.95, 0.999))


def test_warmup_rises_linearly_then_stays():
    opt = optimizer((1.0,))
    schedule = warmup(opt)
    assert opt.param_groups[0]["lr"] == 0.2
    np.testing.assert_allclose(rates(opt, schedule, METRICS[:6])[:, 0], [0.4, 0.6, 0.8, 1, 1, 1], rtol=1e-12)


def test_warmup_hands_over():
    opt = optimizer((1.0,))
    expected = [0.4, 0.6, 0.8, 1, 1, 0.5, 0.5, 0.25]
    np.testing.assert_allclose(rates(opt, warmup_then_steps(opt), METRICS[:8])[:, 0], expected, rtol=1e-12)


def make_schedule(name, opt):
    return KINDS[name.partition(" ")[0]](opt, **SCHEDULES[name])


EVERY = {name: functools.partial(make_schedule, name) for name in SCHEDULES}
EVERY |= {"warmup": warmup, "warmup, steps": warmup_then_steps, "warmup, plateau": warmup_then_plateau}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
@pytest.mark.parametrize("stop", range(0, PERIODS, 3))
def test_continues_exactly_from_a_saved_state(make, stop):
    opt = optimizer()
    whole = rates(opt, make(opt))
    opt = optimizer()
    schedule = make(opt)
    rates(opt, schedule, METRICS[:stop])
    saved = json.loads(json.dumps(schedule.state_dict()))
    opt = optimizer((0.9, 0.8))
    schedule = make(opt)
    schedule.load_state_dict(saved)
    if stop:
        assert [group["lr"] for group in opt.param_groups] == list(whole[stop - 1])
    assert np.array_equal(rates(opt, schedule, METRICS[stop:]), whole[stop:])


def test_cosine_stays_at_its_end():
    opt = optimizer((1.0,))
    assert np.allclose(rates(opt, CosineAnnealingLR(opt, T_max=3, eta_min=0.1), METRICS[:6])[2:], 0.1)


def test_min_lr_raises_no_rate():
    opt = optimizer((0.1, 1e-6))
    schedule = ReduceLROnPlateau(opt, patience=0, min_lr=1e-3)
    assert (rates(opt, schedule, [1.0]) == [[0.1, 1e-6]]).all()
    np.testing.assert_allclose(rates(opt, schedule, [1.0] * 4)[-1], [1e-3, 1e-6], rtol=1e-12)


@pytest.mark.parametrize("mode, good", [("min", [5, 4, 3, 2]), ("max", [1, 2, 3, 4])])
@pytest.mark.parametrize("first", [float("inf"), -float("inf"), float("nan")])
def test_a_metric_that_is_not_finite_is_never_the_best(mode, good, first):
    opt = optimizer((1.0,))
    schedule = ReduceLROnPlateau(opt, mode, patience=1)
    assert (rates(opt, schedule, [first, *good]) == 1).all() and schedule.best == good[-1]
    np.testing.assert_allclose(rates(opt, schedule, [first] * 2), [[1.0], [0.1]], rtol=1e-12)


def test_the_metric_may_be_a_tensor():
    schedule = ReduceLROnPlateau(optimizer())
    schedule.step(Tensor([2.0]).sum())
    assert schedule.best == 2.0 and type(schedule.best) is float
    with raises(TypeError, "ReduceLROnPlateau.step", "'2.0'"):
        schedule.step("2.0")


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
@pytest.mark.parametrize(
    "damage",
    [
        lambda s: None,
        lambda s: {"base_lrs": [0.5, 0.2], "count": 3},  # as it was saved once
        lambda s: {key: value for key, value in s.items() if key != "lrs"},
        lambda s: s | {"more": 1},
        lambda s: s | {"lrs": [0.5]},
        lambda s: s | {"lrs": [0.5, float("nan")]},
        lambda s: s | {"lrs": "ab"},
        lambda s: s | {"count": 1.5},
        lambda s: s | {"count": -1},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(make, damage):
    opt = optimizer()
    schedule = make(opt)
    rates(opt, schedule, METRICS[:6])
    before = schedule.state_dict()
    with raises((TypeError, ValueError), type(schedule).__name__):
        schedule.load_state_dict(damage(before))
    assert schedule.state_dict() == before


@pytest.mark.parametrize("wrong", [{"best": "5"}, {"best": float("inf")}, {"bad_periods": -1}, {"bad_periods": 0.5}])
def test_a_damaged_plateau_is_refused_behind_a_warm_up_too(wrong):
    opt = optimizer()
    schedule = warmup_then_plateau(opt)
    rates(opt, schedule, METRICS[:6])
    before = schedule.state_dict()
    with raises((TypeError, ValueError), "ReduceLROnPlateau", *wrong):
        schedule.load_state_dict(before | {"count": 1, "after": before["after"] | wrong})
    for after in (None, {}, 3):
        with raises(ValueError, "load_state_dict"):
            schedule.load_state_dict(before | {"count": 1, "after": after})
    assert schedule.state_dict() == before


@pytest.mark.parametrize("metrics", [[float("nan"), 5, 4, 3], [5, float("nan"), 4, 3]])
def test_nan_is_no_improvement_and_no_best(metrics):
    opt = optimizer((1.0,))
    assert rates(opt, ReduceLROnPlateau(opt, patience=1), metrics)[-1] == 1


@pytest.mark.parametrize(
    "make, parts",
    [
        (lambda o: StepLR(o, -3), ["StepLR", "step_size", "-3"]),
        (lambda o: StepLR(o, 3, gamma=0), ["StepLR", "gamma", "above 0"]),
        (lambda o: StepLR(o, 3, gamma=np.nan), ["StepLR", "gamma", "nan"]),
        (lambda o: MultiStepLR(o, [0, 3]), ["MultiStepLR", "milestones", "0"]),
        (lambda o: MultiStepLR(o, [30, 10]), ["MultiStepLR", "ascend", "[30, 10]"]),
        (lambda o: CosineAnnealingLR(o, 10, eta_min=-1), ["CosineAnnealingLR", "eta_min", "-1"]),
        (lambda o: ReduceLROnPlateau(o, patience=-1), ["ReduceLROnPlateau", "patience", "-1"]),
        (lambda o: ReduceLROnPlateau(o, min_lr=-1), ["ReduceLROnPlateau", "min_lr", "-1"]),
        (lambda o: LinearWarmup(o, 3, start_factor=0), ["LinearWarmup", "start_factor", "above 0"]),
        (lambda o: LinearWarmup(o, 3, start_factor=2), ["LinearWarmup", "start_factor", "at most 1"]),
        (lambda o: StepLR(o, 0), ["StepLR", "step_size", "0"]),
        (lambda o: CosineAnnealingLR(o, 0), ["CosineAnnealingLR", "T_max", "0"]),
        (lambda o: ReduceLROnPlateau(o, "least"), ["ReduceLROnPlateau", "mode", "'least'"]),
        (lambda o: ReduceLROnPlateau(o, factor=1.0), ["ReduceLROnPlateau", "factor", "1.0"]),
        (lambda o: LinearWarmup(o, 0), ["LinearWarmup", "periods", "0"]),
        (lambda o: ReduceLROnPlateau(o).step(), ["ReduceLROnPlateau.step", "metric"]),
    ],
)
def test_errors(make, parts):
    with raises(ValueError, *parts):
        make(optimizer())


@pytest.mark.parametrize(
    "make, parts",
    [
        (lambda o: StepLR(o, 2.0), ["StepLR", "step_size", "2.0"]),
        (lambda o: StepLR(o, "2"), ["StepLR", "step_size", "'2'"]),
        (lambda o: StepLR(o, 2, "0.1"), ["StepLR", "gamma", "'0.1'"]),
        (lambda o: MultiStepLR(o, 30), ["MultiStepLR", "milestones", "30"]),
        (lambda o: MultiStepLR(o, "100"), ["MultiStepLR", "milestones", "'100'"]),
        (lambda o: MultiStepLR(o, [1.5]), ["MultiStepLR", "milestones", "1.5"]),
        (lambda o: CosineAnnealingLR(o, None), ["CosineAnnealingLR", "T_max", "None"]),
        (lambda o: ReduceLROnPlateau(o, min_lr=[0.1]), ["ReduceLROnPlateau", "min_lr"]),
        (lambda o: LinearWarmup(o, 3, after=3), ["LinearWarmup", "after"]),
        (lambda o: LinearWarmup(o, 3, after=StepLR(optimizer(), 1)), ["LinearWarmup", "same optimiser"]),
        (lambda o: StepLR(o.param_groups, 3), ["StepLR", "optimizer", "list"]),
    ],
)
def test_types(make, parts):
    opt = optimizer()
    with raises(TypeError, *parts):
        make(opt)
    assert [group["lr"] for group in opt.param_groups] == [0.5, 0.2]
