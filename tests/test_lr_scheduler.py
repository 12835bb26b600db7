"""Schedules against torch.optim.lr_scheduler, period by period, and interrupted at every one."""

import functools
import json

import numpy as np
import pytest
from checks import raises

from minicnn import nn
from minicnn.optim import SGD
from minicnn.optim.lr_scheduler import CosineAnnealingLR, LinearWarmup, MultiStepLR, ReduceLROnPlateau, StepLR

PERIODS = 14
METRICS = [5, 4, 4.1, 4.2, 3.9999, 4, 4.3, 3, 2, 2.5, 2.5, 2.4, 2.6, 2.2]
SCHEDULES = {
    "StepLR": {"step_size": 3, "gamma": 0.5},
    "MultiStepLR": {"milestones": [7, 2, 7], "gamma": 0.1},
    "CosineAnnealingLR": {"T_max": PERIODS, "eta_min": 0.01},
    "ReduceLROnPlateau": {"factor": 0.5, "patience": 1, "min_lr": 0.03},
    "ReduceLROnPlateau max": {"mode": "max", "factor": 0.1, "patience": 2, "threshold": 0.1},
}
KINDS = {c.__name__: c for c in (StepLR, MultiStepLR, CosineAnnealingLR, ReduceLROnPlateau, LinearWarmup)}


def optimizer(lrs=(0.5, 0.2)):
    return SGD([{"params": [nn.Parameter(np.ones(1))], "lr": lr} for lr in lrs], lr=0.1)


def rates(optimizer, schedule, metrics=METRICS):
    """The lr of every group, after each period."""
    seen = []
    for metric in metrics:
        schedule.step(metric)
        seen.append([group["lr"] for group in optimizer.param_groups])
    return np.array(seen)


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


def warmup(opt, after=None):
    return LinearWarmup(opt, periods=4, start_factor=0.2, after=after)


def warmup_then_steps(opt):
    return warmup(opt, StepLR(opt, step_size=2, gamma=0.5))


def warmup_then_plateau(opt):
    return warmup(opt, ReduceLROnPlateau(opt, factor=0.5, patience=0))


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


@pytest.mark.parametrize("metrics", [[float("nan"), 5, 4, 3], [5, float("nan"), 4, 3]])
def test_nan_is_no_improvement_and_no_best(metrics):
    opt = optimizer((1.0,))
    assert rates(opt, ReduceLROnPlateau(opt, patience=1), metrics)[-1] == 1


@pytest.mark.parametrize(
    "make, parts",
    [
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
