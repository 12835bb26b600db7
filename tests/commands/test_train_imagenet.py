"""minicnn train: the recipes of both papers, for each network; auxiliary heads; plain networks."""

import re

import numpy as np
import pytest
from parity import without_initial_weights
from paths import EXAMPLES
from programs import fails, run

from minicnn import cli, models, nn
from minicnn.cli.arguments import parse
from minicnn.commands import train as example
from minicnn.data import ColorNoise, RandomCrop, RandomFlip, RandomShorterSide, ResizeShorter
from minicnn.models import names
from minicnn.models.resnet import zero_pads
from minicnn.runlog import TIME_COLUMNS, read_log
from minicnn.train import load_checkpoint, save_checkpoint

TINY = "-a shufflenet_v2_x1_0 --image-size 32 --shorter-side 34 -b 4 -j 1 -p 9"


def settings(*words):
    return parse(example.arguments(), list(words), example.defaults)[0]


def built(args, model):
    optimizer = example.build_optimizer(args, model)
    return optimizer, cli.build_schedule(args, optimizer, range(10))  # of ten batches


def train(folder, out, *words):
    assert run(folder, *words, "--output-dir", out, program=example) == 0
    return load_checkpoint(out / "checkpoint_last.npz"), read_log(out / "log.csv")


# Recipes


def test_the_help_has_both_recipes_and_no_default_of_one_alone():
    help_text = example.arguments().format_help()
    assert "Krizhevsky et al." in help_text and "He et al." in help_text
    assert not re.search(r"\(default:\s+(128|0\.0005|True)\)", help_text)
    assert example.arguments().get_default("lr") is None


def test_the_resnet_recipe_is_the_papers():
    args = settings("DIR", "-a", "resnet34")
    assert (args.recipe, args.batch_size, args.lr, args.momentum, args.wd) == ("resnet", 256, 0.1, 0.9, 1e-4)
    assert (args.sched, args.milestones, args.epochs, args.dropout) == ("multistep", [30, 60], 90, 0)
    resize, crop, flip, noise = example.augment(args).transforms
    assert isinstance(resize, RandomShorterSide) and (resize.low, resize.high) == (256, 480)
    assert isinstance(crop, RandomCrop) and crop.size == 224 and isinstance(flip, RandomFlip)
    assert isinstance(noise, ColorNoise)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    optimizer, schedule = built(args, model)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.1, 1e-4, 4)  # every parameter
    rates = []
    for _ in range(90):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step(50.0)
    assert rates == pytest.approx([0.1] * 30 + [0.01] * 30 + [0.001] * 30)


def test_the_alexnet_recipe():
    args = settings("DIR", "-a", "vgg16")
    assert (args.recipe, args.batch_size, args.lr, args.momentum, args.wd) == ("alexnet", 128, 0.01, 0.9, 5e-4)
    assert (args.sched, args.dropout, args.width) == ("plateau", 0.5, 4096)
    assert isinstance(example.augment(args).transforms[0], ResizeShorter)
    optimizer, schedule = built(args, nn.Linear(2, 2))
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [(0.01, 5e-4), (0.02, 0.0)]
    assert (type(schedule).__name__, schedule.factor, schedule.patience) == ("ReduceLROnPlateau", 0.1, 5)


@pytest.mark.parametrize("arch", example.ARCHS)
def test_every_network_has_a_recipe_and_is_built_by_it(arch):
    """With DIR, and as the sample set needs it."""
    for words in (["DIR"], []):
        args = settings(*words, "-a", arch)
        assert args.recipe == ("alexnet" if arch.startswith(("alexnet", "vgg")) else "resnet")
        with without_initial_weights():
            example.build_model(args, 10)
        assert args.image_size <= args.shorter_side and args.recipe in example.describe(args)


def test_all_of_imagenets_networks_are_there():
    assert sorted(example.ARCHS) == sorted([*names.IMAGENET, "plain18", "plain34"])


def test_flags_go_before_the_recipe():
    args = settings("DIR", "--recipe", "alexnet", "--schedule", "steps", "--lr", "0.3", "--scale-jitter", "1.5")
    assert (args.lr, args.wd, args.batch_size) == (0.3, 5e-4, 128)
    assert type(built(args, nn.Linear(2, 2))[1]).__name__ == "MultiStepLR"
    assert example.augment(args).transforms[0].high == 384
    assert "lr 0.3, / 10 after epochs 30, 60 of 90" in example.describe(args)


def test_only_what_was_changed_is_said_to_be():
    args = settings("--epochs", "1", "--lr", "0.5")
    assert "/ 10 never in 1 epochs" in example.describe(args)
    note = example.note(args)
    assert "epochs" not in note and "lr" not in note and "image_size 64" in note
    assert "after epochs 6 of 8" in example.describe(settings("--epochs", "8"))


def test_plain_networks_have_resnets_weights_but_for_shortcuts():
    with without_initial_weights():
        plain = example.build_model(settings("DIR", "-a", "plain18"), 7)
        residual = example.build_model(settings("DIR", "-a", "resnet18", "--shortcut", "A"), 7)
    assert list(plain.state_dict()) == list(residual.state_dict())
    assert not plain.residual and residual.residual and len(zero_pads(residual)) == 3


V2 = f"--config {EXAMPLES / 'resnet50_v2.json'}"


def test_torchvisions_second_recipe_is_a_file():
    args = settings("DIR", *V2.split())
    assert (args.arch, args.epochs, args.batch_size, args.lr, args.wd) == ("resnet50", 600, 1024, 0.5, 2e-5)
    kinds = [type(transform).__name__ for transform in example.augment(args).transforms]
    assert kinds == ["RandomResizedCrop", "RandomFlip", "TrivialAugmentWide", "RandomErasing"]
    assert (args.ra_sampler, args.ra_reps) == (True, 4)
    optimizer, schedule = built(args, nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)))
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [
        (0.005, 2e-5), (0.005, 0.0), (0.005, 2e-5),
    ]  # fmt: skip
    assert (schedule.periods, schedule.after.T_max) == (5, 595)


@pytest.mark.slow
def test_torchvisions_second_recipe_runs(folder, tmp_path, capsys):
    smaller = "-a shufflenet_v2_x1_0 --epochs 2 --warmup-epochs 1 -b 4 --lr 0.02 -j 1"
    smaller += " --train-crop-size 24 --image-size 32 --shorter-side 34"
    state, rows = train(folder, tmp_path / "run", V2, smaller)
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.0002, 0.02])
    assert state["settings"]["mixup"] == 0.2 and state["callbacks"]["ModelEma"]["count"] == 1
    assert "mixup 0.2, CutMix 1, 4 versions of a picture in a row" in capsys.readouterr().out


def test_alexnet_is_trained_as_by_its_own_program(pictures, trained, tmp_path):
    flags = "-a alexnet --image-size 64 --shorter-side 66 --width 8 -b 4 -j 1 -p 1 --epochs 2 --dropout 0"
    state, rows = train(pictures, tmp_path / "run", flags)
    other = load_checkpoint(trained / "checkpoint_last.npz")
    assert all(np.array_equal(array, other["model"][name]) for name, array in state["model"].items())
    other_rows = read_log(trained / "log.csv")
    assert [row["val_loss"] for row in rows] == [row["val_loss"] for row in other_rows]


# Runs


def test_goes_on_with_the_same_bits_and_is_tested(folder, tmp_path, capsys):
    around = "--milestones 1 --label-smoothing 0.1 --clip-grad-norm 5 --early-stop 9 --model-ema --model-ema-steps 1"
    around += " --model-ema-decay 0.5"  # of more epochs the average keeps more; here nothing, in one epoch or two
    whole, rows = train(folder, tmp_path / "whole", TINY, "--epochs 2", around)
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.1, 0.01])
    assert "recipe resnet: batches of 4, lr 0.1, / 10 after epochs 1 of 2" in capsys.readouterr().out
    train(folder, tmp_path / "parts", TINY, "--epochs 1", around)
    last = tmp_path / "parts" / "checkpoint_last.npz"
    assert run("--epochs 2 --resume", last, program=example) == 0
    again, rows_again = load_checkpoint(last), read_log(tmp_path / "parts" / "log.csv")
    for part in ("model", "optimizer", "schedule", "random", "callbacks"):
        np.testing.assert_equal(again[part], whole[part])
    timeless = [
        [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in each] for each in (rows, rows_again)
    ]
    assert timeless[0] == timeless[1]
    for tta in ("10crop", "dense"):
        assert run("-e --resume", last, "--tta", tta, program=example) == 0
        assert f"6 pictures, 1 network, {tta}: loss" in capsys.readouterr().out

    average = tmp_path / "whole" / "checkpoint_ema.npz"
    assert run("-e --resume", average, program=example) == 0
    assert "6 pictures, 1 network, 1 crop: loss" in capsys.readouterr().out
    assert run("--resume", average, program=example) == 2
    assert "an average of weights" in capsys.readouterr().err


def test_auxiliary_heads_are_trained_kept_and_left_out_of_tests(folder, tmp_path, capsys):
    words = "-a googlenet --image-size 32 --shorter-side 34 -b 8 -j 1 --epochs 1 --lr 0.0001"
    state, rows = train(folder, tmp_path / "run", words)
    assert "auxiliary heads count, too" in capsys.readouterr().out
    assert state["settings"]["aux_logits"] and not state["settings"]["transform_input"]
    made = models.create("googlenet", 3, state["settings"])  # as classify.py and transfer do
    assert made.aux1 is not None and not made.transform_input
    made.load_state_dict(state["model"])
    assert run("-e --resume", tmp_path / "run" / "checkpoint_last.npz", program=example) == 0
    assert f"1 crop: loss {float(rows[-1]['val_loss']):.3f}" in capsys.readouterr().out


def test_begins_with_weights_of_a_file(folder, tmp_path, capsys):
    """Of three classes, as the pictures are, or of others: then the head is a new one."""
    for classes in (3, 5):
        known = models.create("shufflenet_v2_x1_0", classes, {})
        save_checkpoint(tmp_path / "known.npz", {"model": known.state_dict()})
        args = settings(str(folder), "-a", "shufflenet_v2_x1_0", "--weights", str(tmp_path / "known.npz"))
        begun, expected = cli.begin(args, 3, example.build_model).state_dict(), known.state_dict()
        for name, value in begun.items():
            if classes == 3 or not name.startswith("fc"):
                assert np.array_equal(value.numpy(), expected[name].numpy()), name
        assert begun["fc.weight"].shape == (3, 1024)
    assert (
        run(folder, "-a resnet18 --weights", tmp_path / "known.npz", "--output-dir", tmp_path / "a", program=example)
        == 2
    )
    assert "known.npz" in capsys.readouterr().err
    assert run(folder, "-a resnet18 --weights V9 --output-dir", tmp_path / "a", program=example) == 2
    assert "resnet18 has no weights 'V9'" in capsys.readouterr().err


# Errors


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("-a shufflenet_v2_x1_0 --width 30", "shufflenet_v2_x1_0 has no setting width; leave --width 30 out"),
        ("-a plain18 --shortcut A", "plain18 has no setting shortcut; leave --shortcut A out"),
        (
            "-a vgg11 --image-size 20",
            "vgg11 cannot be trained on pictures of --image-size 20; take larger ones: max_pool",
        ),
        (
            "-a inception_v3 --image-size 80",
            "the auxiliary heads of inception_v3 cannot be trained on .*-size 80; take",
        ),
        ("-a shufflenet_v2_x1_0 --image-size 32 --milestones 2 1", "milestones must ascend"),
        ("--image-size 300", "--image-size 300 cannot be cut from pictures of --shorter-side 256"),
    ],
)
def test_bad_settings(folder, tmp_path, capsys, monkeypatch, flags, message):
    monkeypatch.setattr("programs.run", lambda *words: run(*words, program=example))
    with without_initial_weights():
        err = fails(capsys, folder, flags, "-b 4 -j 1 --output-dir", tmp_path / "run")
    assert re.search(message, err), err
    assert not list(tmp_path.iterdir())


def test_an_unknown_network_is_answered_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        settings("DIR", "-a", "resnet19")
    err = capsys.readouterr().err
    assert "resnet19" in err and all(arch in err for arch in example.ARCHS)
