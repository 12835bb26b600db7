"""examples/resnet_cifar10.py: the recipe of the paper, its schedule by steps, plain networks, classes and amounts."""

import json

import numpy as np
import pytest
from paths import EXAMPLES
from PIL import Image
from programs import load_example, run

from minicnn.cli.pictures import shift_and_flip
from minicnn.data import Pad
from minicnn.data.published import PublishedSet
from minicnn.models.resnet import zero_pads
from minicnn.runlog import read_log
from minicnn.train import load_checkpoint, save_checkpoint

example = load_example(EXAMPLES / "resnet_cifar10.py")
SMALL = "--image-size 8 --shorter-side 8 -b 4 -j 0 -p 100 --epochs 2"


def train(folder, out, words=""):
    assert run(folder, SMALL, words, "--output-dir", out, program=example) == 0
    return out


def test_the_settings_of_the_paper():
    args = example.arguments().parse_args([])
    for name, value in example.defaults(args).items():
        setattr(args, name, value)
    assert (args.batch_size, args.momentum, args.wd, args.lr) == (128, 0.9, 1e-4, 0.1)
    assert (args.milestones, args.warmup_steps, args.shortcut, args.preprocess) == (
        [32000, 48000],
        0,
        "A",
        "mean_image",
    )
    assert 0 <= args.epochs * -(-50000 // args.batch_size) - 64000 < 391
    args.arch = "resnet110"
    assert example.defaults(args)["warmup_steps"] == 400


def test_the_rate_falls_at_steps_not_epochs(folder, tmp_path):
    """15 pictures in batches of 4: four steps an epoch."""
    train(folder, tmp_path / "run", "--milestones 3 6")
    rates = [float(row["lr"]) for row in read_log(tmp_path / "run" / "log.csv")]
    assert rates == pytest.approx([0.01, 0.001])
    assert load_checkpoint(tmp_path / "run" / "checkpoint_last.npz")["schedule"]["count"] == 8


def test_warming_up(folder, tmp_path):
    train(folder, tmp_path / "run", "--warmup-steps 8")
    rates = [float(row["lr"]) for row in read_log(tmp_path / "run" / "log.csv")]
    assert rates == pytest.approx([0.1 * (0.1 + 0.9 / 2), 0.1])


def test_plain_networks_have_the_same_weights_to_learn(folder, tmp_path, capsys):
    for name, words in (("resnet", ""), ("plain", "--plain")):
        train(folder, tmp_path / name, words)
    assert "no shortcuts" in capsys.readouterr().out.lower()
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("resnet", "plain")]
    assert summaries[0]["parameters"] == summaries[1]["parameters"] == 269_722 - 7 * 65  # 3 classes
    losses = [read_log(tmp_path / name / "log.csv")[0]["train_loss"] for name in ("resnet", "plain")]
    assert losses[0] != losses[1]


def test_where_zeros_go_is_kept_and_goes_on(folder, tmp_path, capsys, monkeypatch):
    """In the checkpoint, and from there in tests; checkpoints from before there was a choice have theirs behind."""
    out, seen = train(folder, tmp_path / "run", "--zero-padding around"), []
    path = out / "checkpoint_last.npz"
    state = load_checkpoint(path)
    assert state["settings"]["zero_padding"] == "around"
    real = example.build_model
    monkeypatch.setattr(example, "build_model", lambda *args: (seen.append(real(*args)), seen[-1])[1])
    for words in (["-e", "--resume", str(path)], ["--ensemble", str(path), str(path)]):
        assert run(*words, program=example) == 0
    assert {layer.zero_padding for model in seen for layer in zero_pads(model)} == {"around"} and len(seen) == 3
    del state["settings"]["zero_padding"]
    save_checkpoint(path, state)
    assert run("-e --resume", path, program=example) == 0
    assert {layer.zero_padding for layer in zero_pads(seen[-1])} == {"behind"}


def test_a_test_of_a_checkpoint_repeats_the_last_validation(folder, tmp_path, capsys):
    out = train(folder, tmp_path / "run", "--classes light dark --train-per-class 3")
    last = read_log(out / "log.csv")[-1]["val_loss"]
    capsys.readouterr()
    assert run("-e --resume", out / "checkpoint_last.npz", program=example) == 0
    assert f"validation, 4 pictures, 1 network, 1 crop: loss {float(last):.3f}" in capsys.readouterr().out


def test_some_classes_and_some_pictures(folder, tmp_path, capsys):
    out = train(folder, tmp_path / "run", "--classes night dark --train-per-class 3")
    assert "6 training and 4 validation pictures of 2 classes" in capsys.readouterr().out
    assert load_checkpoint(out / "checkpoint_last.npz")["classes"] == ["dark", "night"]
    assert run("--resume", out / "checkpoint_last.npz", "--epochs 3", program=example) == 0
    assert len(read_log(out / "log.csv")) == 3
    assert run(folder, SMALL, "--classes day", "--output-dir", tmp_path / "none", program=example) == 2
    assert "there is no class day; the classes are dark, light, night" in capsys.readouterr().err


def test_pictures_are_shifted_by_an_eighth_and_flipped():
    args = example.arguments().parse_args(["--image-size", "32", "--shorter-side", "32"])
    pixels = np.random.default_rng(0).integers(1, 256, (32, 32, 3), np.uint8)
    image, rng = Image.fromarray(pixels), np.random.default_rng(1)
    padded = np.pad(pixels, ((4, 4), (4, 4), (0, 0)))
    shifts = {(y, x, flip): padded[y : y + 32, x : x + 32] for y in range(9) for x in range(9) for flip in (0, 1)}
    seen = set()
    for _ in range(300):
        crop = np.asarray(shift_and_flip(args)(image, rng))
        found = [k for k, v in shifts.items() if (crop == (v[:, ::-1] if k[2] else v)).all()]
        assert len(found) == 1
        seen |= set(found)
    assert len(seen) > 100 and {y for y, _, _ in seen} == {x for _, x, _ in seen} == set(range(9))


def test_padding():
    image = Image.fromarray(np.full((2, 3, 3), 9, np.uint8))
    padded = np.asarray(Pad(2)(image))
    assert padded.shape == (6, 7, 3) and padded.sum() == 9 * 18 and (padded[2:4, 2:5] == 9).all()


def test_without_a_folder_it_takes_cifar10(tmp_path, monkeypatch):
    """From the cache folder, where torchvision puts it, too; here, a stand-in."""
    rng = np.random.default_rng(0)
    pictures = [(Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)), i % 3) for i in range(12)]
    seen = []

    def stand_in(root):
        seen.append(root)
        return tuple(PublishedSet(pictures, split, [label for _, label in pictures], "abc") for split in ("a", "b"))

    monkeypatch.setattr(example, "cifar10", stand_in)
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert run(SMALL, "--epochs 1", program=example) == 0
    assert seen == [tmp_path / "cache" / "cifar10"]
    assert json.loads((tmp_path / "runs" / "resnet20-cifar10-1" / "summary.json").read_text())["pictures"] == "cifar10"
