"""Schedules and the present rate: set by hand, by several schedules, and of groups that come later."""

import json

import numpy as np
import pytest
from schedules import KINDS, METRICS, optimizer, rates, warmup_then_plateau, warmup_then_steps

from minicnn import nn
from minicnn.optim.lr_scheduler import CosineAnnealingLR, LinearWarmup, StepLR

LONG = 300
CHAINS = {
    "StepLR": [("StepLR", {"step_size": 30, "gamma": 0.7})],
    "MultiStepLR": [("MultiStepLR", {"milestones": [40, 41, 41, 200], "gamma": 0.3})],
    "cosine": [("CosineAnnealingLR", {"T_max": LONG, "eta_min": 1e-3})],
    "plateau": [("ReduceLROnPlateau", {"factor": 0.5, "patience": 4, "min_lr": 1e-3})],
    "two": [("StepLR", {"step_size": 1, "gamma": 0.995}), ("CosineAnnealingLR", {"T_max": LONG})],
    "three": [
        ("MultiStepLR", {"milestones": [20], "gamma": 2.0}),
        ("ReduceLROnPlateau", {"factor": 0.9, "patience": 3}),
        ("StepLR", {"step_size": 50, "gamma": 0.5}),
    ],
    "warm-up and steps": [("LinearLR", {"start_factor": 0.1, "total_iters": 25}), ("StepLR", {"step_size": 60})],
}


def ours_named(name, opt, options):
    if name == "LinearLR":
        return LinearWarmup(opt, options["total_iters"], options["start_factor"])
    return KINDS[name](opt, **options)


@pytest.mark.parametrize("by_hand", [False, True], ids=["alone", "with changes by hand"])
@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_hundreds_of_periods_as_torch_has_them(torch, chain, by_hand):
    ours = optimizer()
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": group["lr"]} for group in ours.param_groups]
    theirs = torch.optim.SGD(groups, lr=0.1)
    schedules = [ours_named(name, ours, options) for name, options in chain]
    oracles = [getattr(torch.optim.lr_scheduler, name)(theirs, **options) for name, options in chain]
    rng, seen, expected = np.random.default_rng(0), [], []
    for period in range(LONG):
        metric = 5 * 0.99**period + rng.random()
        theirs.step()
        for schedule, oracle in zip(schedules, oracles, strict=True):
            schedule.step(metric)
            oracle.step(metric) if "Plateau" in type(oracle).__name__ else oracle.step()
        if by_hand and period in (10, 77, 150, 222):
            for opt in (ours, theirs):
                opt.param_groups[period % 2]["lr"] = 0.3 + period / 1000
        if by_hand and period == 100:
            ours.add_param_group({"params": nn.Parameter(np.ones(1)), "lr": 0.7})
            theirs.add_param_group({"params": torch.nn.Parameter(torch.ones(1)), "lr": 0.7})
            for oracle in oracles:
                if hasattr(oracle, "min_lrs"):
                    oracle.min_lrs.append(oracle.min_lrs[0])
        seen.extend(schedules[0].get_last_lr())
        expected.extend(group["lr"] for group in theirs.param_groups)
    np.testing.assert_allclose(seen, expected, rtol=1e-12)
    assert len(set(seen)) > 4


def test_two_schedules_multiply():
    opt = optimizer((0.1,))
    schedules = StepLR(opt, 1, 0.5), CosineAnnealingLR(opt, 10)
    for _ in range(4):
        for schedule in schedules:
            schedule.step()
    expected = 0.1 * 0.5**4 * (1 + np.cos(0.4 * np.pi)) / 2
    np.testing.assert_allclose(schedules[0].get_last_lr(), [expected], rtol=1e-12)


def test_a_rate_set_by_hand_in_the_warm_up_is_warmed_up_itself():
    opt = optimizer((1.0,))
    schedule = warmup_then_steps(opt)
    schedule.step()
    opt.param_groups[0]["lr"] /= 10
    np.testing.assert_allclose(rates(opt, schedule, METRICS[:5])[:, 0], [0.06, 0.08, 0.1, 0.1, 0.05], rtol=1e-12)


@pytest.mark.parametrize("stop", [0, 3, 6, 9])
def test_several_schedules_continue_exactly(stop):
    def make(opt):
        return warmup_then_plateau(opt), CosineAnnealingLR(opt, 9, 0.01), StepLR(opt, 2, 0.9)

    def go(opt, schedules, metrics):
        seen = []
        for metric in metrics:
            for schedule in schedules:
                schedule.step(metric)
            seen.append(schedules[0].get_last_lr())
        return seen

    opt = optimizer()
    schedules = make(opt)
    go(opt, schedules, METRICS[:stop])
    opt.param_groups[1]["lr"] = 0.123
    saved = json.loads(json.dumps([schedule.state_dict() for schedule in schedules]))
    expected = go(opt, schedules, METRICS[stop:])
    opt = optimizer((0.9, 0.8))
    schedules = make(opt)
    for schedule, state in zip(schedules, saved, strict=True):
        schedule.load_state_dict(state)
    assert opt.param_groups[1]["lr"] == 0.123 and go(opt, schedules, METRICS[stop:]) == expected
