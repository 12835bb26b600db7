"""--opt, --sched and what goes with them: what is built of the flags, and what is refused."""

import re

import numpy as np
import pytest
from checks import raises
from paths import ROOT

from minicnn import cli, nn, optim
from minicnn.cli import remembered
from minicnn.cli.arguments import parse
from minicnn.commands import train as example
from minicnn.errors import SettingError
from minicnn.storage.checkpoint import CheckpointError

MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
BATCHES = range(5)  # of an epoch


def settings(words):
    return parse(example.arguments(), ["DIR", *words.split()], example.defaults)[0]


def optimizer(words, model=MODEL):
    return example.build_optimizer(settings(words), model)


def rates(words, periods):
    """The lr in each of so many epochs, or batches."""
    args = settings(words)
    built = example.build_optimizer(args, MODEL)
    schedule = cli.build_schedule(args, built, BATCHES)
    found = []
    for _ in range(periods):
        found.append(built.param_groups[0]["lr"])
        schedule.step(50.0)
    return found


@pytest.mark.parametrize(
    ("words", "kind", "expected"),
    [
        ("", optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4}),
        ("--nesterov --lr 0.2", optim.SGD, {"lr": 0.2, "nesterov": True}),
        ("--opt adam --wd 0.1", optim.Adam, {"lr": 0.001, "betas": (0.9, 0.999), "weight_decay": 0.1}),
        ("--opt adamw --momentum 0.8 --lr 0.5", optim.AdamW, {"lr": 0.5, "betas": (0.8, 0.999)}),
        ("--opt rmsprop", optim.RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 0.0316, "momentum": 0.9}),
        ("--opt lars", optim.LARS, {"lr": 1.0, "momentum": 0.9, "trust_coefficient": 0.001}),
    ],
)
def test_the_optimiser(words, kind, expected):
    built = optimizer(words)
    assert type(built) is kind and expected.items() <= built.param_groups[0].items()
    assert {p.shape for group in built.param_groups for p in group["params"]} == {p.shape for p in MODEL.parameters()}


def test_groups_of_weight_decay():
    groups = optimizer("--wd 0.1 --norm-weight-decay 0").param_groups
    conv, norm, linear = MODEL
    members = {group["weight_decay"]: set(group["params"]) for group in groups[:2]}
    assert members == {0.1: {conv.weight, linear.weight}, 0.0: {norm.weight, norm.bias}}
    assert [(group["weight_decay"], set(group["params"])) for group in groups[2:]] == [(0.1, {conv.bias, linear.bias})]
    both = optimizer("--wd 0.1 --norm-weight-decay 0.2 --bias-weight-decay 0.3 --opt lars").param_groups
    assert [(group["weight_decay"], group["trust_coefficient"]) for group in both] == [
        (0.1, 0.001), (0.2, None), (0.3, None),
    ]  # fmt: skip
    alexnet = optimizer("--recipe alexnet --opt adamw").param_groups
    assert [(group["lr"], group["weight_decay"]) for group in alexnet] == [(0.001, 5e-4), (0.002, 0.0)]


def test_the_schedules():
    assert rates("--sched step --step-size 2 --gamma 0.5 --lr 1", 5) == [1, 1, 0.5, 0.5, 0.25]
    assert rates("--schedule steps --milestones 1 3 --lr 1", 4) == pytest.approx([1, 0.1, 0.1, 0.01])
    assert rates("--sched plateau --patience 0 --lr 1", 4) == pytest.approx([1, 1, 0.1, 0.01])
    cosine = rates("--sched cosine --epochs 6 --warmup-epochs 2 --warmup-decay 0.5 --lr 1 --lr-min 0.2", 6)
    assert cosine == pytest.approx([0.5, 0.75, 1, 0.2 + 0.4 * (1 + np.sqrt(0.5)), 0.6, 0.2 + 0.4 * (1 - np.sqrt(0.5))])
    one = rates("--sched onecycle --epochs 2 --lr 1", 10)  # by batches
    assert one[0] == pytest.approx(0.04) and max(one) == pytest.approx(1) and one[-1] == pytest.approx(4e-6)
    assert cli.schedule_each(settings("--sched onecycle")) == "batch"
    assert cli.schedule_each(settings("--sched cosine")) == "epoch"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--recipe alexnet --norm-weight-decay 0", ["recipe", "--norm-weight-decay"]),
        ("--opt adam --nesterov", ["--nesterov", "adam"]),
        ("--opt lars --device cuda --cuda-graph", ["--cuda-graph", "LARS", "SGD, Adam or AdamW"]),
        ("--clip-grad-norm 1 --device cuda --cuda-graph", ["--cuda-graph", "--clip-grad-norm"]),
        ("--sched onecycle --warmup 1", ["onecycle", "--warmup"]),
        ("--sched onecycle --warmup-epochs 1", ["onecycle", "--warmup-epochs"]),
        ("--sched step --warmup-epochs 1 --warmup 1", ["--warmup and --warmup-epochs"]),
        ("--sched cosine --warmup-epochs 2 --epochs 2", ["--warmup-epochs 2", "--epochs 2", "cosine"]),
        ("--sched plateau --gamma 1", ["plateau", "--gamma 1"]),
    ],
)
def test_flags_that_do_not_go_together(words, parts):
    args = settings(words)
    with raises((ValueError, SettingError), *parts):
        cli.build_schedule(args, example.build_optimizer(args, MODEL), BATCHES)


def test_a_rate_that_ends_with_the_run_ends_with_that_run():
    args = settings("--sched cosine --epochs 5")
    cli.check_resumed(args, None)
    cli.check_resumed(args, {"settings": {"epochs": 5}, "optimizer": {"groups": []}})
    with raises(CheckpointError, "4 epochs", "cosine", "--epochs"):
        cli.check_resumed(args, {"settings": {"epochs": 4}, "optimizer": {"groups": []}})
    cli.check_resumed(settings("--epochs 5"), {"settings": {"epochs": 4}, "optimizer": {"groups": []}})


def test_around_a_step():
    words = "--model-ema --model-ema-steps 8 --model-ema-decay 0.99 --early-stop 3 --epochs 32 -b 4 --warmup-epochs 2"
    args = settings(words + " --label-smoothing 0.1")
    ema, stop = cli.step_callbacks(args, MODEL)
    assert ema.decay == pytest.approx(1 - 0.01 * 4 * 8 / 32) and (ema.every, ema.copied_epochs) == (8, 2)
    assert stop.patience == 3 and cli.loss_of(args).label_smoothing == 0.1
    assert not cli.step_callbacks(settings(""), MODEL) and cli.loss_of(settings("")) is None
    with raises(ValueError, "ModelEma", "decay"):
        cli.step_callbacks(settings("--model-ema --model-ema-decay 1"), MODEL)


def test_an_average_is_not_gone_on_from():
    with raises(CheckpointError, "average", "checkpoint_last.npz"):
        cli.check_resumed(settings(""), {"settings": {"epochs": 90}, "optimizer": {}})


def test_the_page_of_torchvisions_flags_is_right():
    """43 flags (one of them by two names), of which those that are the same here are flags of the program."""
    rows = re.findall(r"^\| (`-.+?) \| (.+?) \|$", (ROOT / "docs" / "recipes.md").read_text(), re.M)
    known = {option for action in example.arguments()._actions for option in action.option_strings}
    flags = {flag: here for there, here in rows for flag in re.findall(r"--[\w-]+", there)}
    assert len(flags) == 43 + 1
    same = {flag for flag, here in flags.items() if here.startswith("the same")}
    assert len(same) > 25 and not same - known
    named = {flag for _, here in rows for flag in re.findall(r"`(--[\w-]+)", here)}
    assert not named - known - {"--weights"} and sum(here.startswith("none:") for _, here in rows) == 2


def test_settings_of_earlier_checkpoints_are_taken():
    args = settings("")
    new = remembered.ADDED.keys() | {"sched"}
    saved = {name: value for name, value in vars(args).items() if name not in new}
    saved["schedule"] = "steps"
    remembered.check_settings(saved, args, "file", example.arguments())
    assert (saved["sched"], saved["opt"], saved["gamma"]) == ("multistep", "sgd", 0.1) and "schedule" not in saved
