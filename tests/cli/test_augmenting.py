"""The flags for how training pictures are changed: what is made of them, and which rule each other out."""

import numpy as np
import pytest
from parity import without_initial_weights
from programs import run

from minicnn import cli
from minicnn.cli.arguments import parse
from minicnn.commands import train as example
from minicnn.data import CutMix, MixUp
from minicnn.train import load_checkpoint


def settings(*words):
    return parse(example.arguments(), ["DIR", "-a", "resnet18", "--color-noise", "0", *words], example.defaults)[0]


def transforms(*words):
    return [str(each) for each in example.augment(settings(*words)).transforms]


def test_each_flag_is_a_transform_in_torchvisions_order():
    assert transforms("--scale-jitter", "1") == ["ResizeShorter(256, bilinear)", "RandomCrop(224)", "RandomFlip(0.5)"]
    all_of_them = (
        "--random-resized-crop --crop-scale 0.25 1 --auto-augment ta_wide --color-jitter 0.4 --random-erase 0.1"
    )
    names = transforms(*all_of_them.split(), "--interpolation", "bicubic", "--train-crop-size", "176")
    assert names == [
        "RandomResizedCrop(176, (0.25, 1.0), (0.75, 1.3333333333333333), bicubic)",
        "RandomFlip(0.5)",
        "TrivialAugmentWide(31, bicubic, 0, 0)",
        "ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (0.0, 0.0))",
        "RandomErasing(0.1, (0.02, 0.33), (0.3, 3.3), (124, 116, 104))",
    ]
    names = transforms("--auto-augment", "ra", "--ra-magnitude", "5", "--train-crop-size", "200")
    assert names[1:] == ["RandomCrop(200)", "RandomFlip(0.5)", "RandAugment(2, 5, 31, bilinear, 0, 0)"]
    assert names[0] == "RandomShorterSide(256, 480, bilinear)"
    for name, expected in (
        ("imagenet", "AutoAugment(imagenet, 10, bilinear, 0, 0)"),
        ("cifar10", "AutoAugment(cifar10, 10, bilinear, 0, 0)"),
        ("augmix", "AugMix(3, 3, -1, 1.0, True, 10, bilinear, 0, 0)"),
    ):
        assert transforms("--auto-augment", name)[3] == expected
        assert expected.partition("(")[0] in cli.describe_augment(settings("--auto-augment", name))


def test_mixing():
    def mixes(*words):
        return cli.mix_of(settings(*words), 7)

    assert mixes() is None and mixes("--mixup", "0") is None
    (one,) = mixes("--mixup-alpha", "0.2").transforms
    assert (type(one), one.alpha, one.num_classes) == (MixUp, 0.2, 7)
    both = mixes("--mixup", "0.2", "--cutmix", "1").transforms
    assert [(type(each), each.alpha) for each in both] == [(MixUp, 0.2), (CutMix, 1.0)]


def test_torchvisions_names_for_sizes():
    args = settings("--val-resize-size", "232", "--val-crop-size", "200")
    assert (args.shorter_side, args.image_size) == (232, 200)
    assert [str(each) for each in cli.val_transform(args).transforms] == [
        "ResizeShorter(232, bilinear)", "CenterCrop(200)",
    ]  # fmt: skip


def test_what_is_said_of_them():
    assert "; shorter side 256 to 480, cut to 224" in example.describe(settings())
    words = "--random-resized-crop --auto-augment ra --color-jitter 0.3 --random-erase 0.1 --mixup 0.2 --cutmix 1"
    expected = (
        "8 to 100 % of a picture, resized to 224, RandAugment 9, colour jitter 0.3, erasing 0.1, mixup 0.2, CutMix 1"
    )
    assert example.describe(settings(*words.split())).endswith(f"; {expected}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--no-augment --auto-augment ra",
            "--no-augment leaves training pictures as they are; leave --auto-augment out",
        ),
        ("--no-augment --train-crop-size 200", "leave --train-crop-size out"),
        (
            "--train-crop-size 200 --preprocess mean_image",
            "--preprocess mean_image is a picture of one; choose mean_std",
        ),
        ("--train-crop-size 300", "--train-crop-size 300 cannot be cut from pictures of --shorter-side 256"),
        ("--crop-scale 0.5 0.2 --random-resized-crop", "RandomResizedCrop: scale must be"),
        ("--auto-augment ra --ra-magnitude 31", "RandAugment: magnitude must be"),
    ],
)
def test_flags_that_do_not_go_together(words, message):
    args = settings(*words.split())
    with pytest.raises(ValueError, match=message):
        cli.check_augment(args)
        example.augment(args)


def test_the_sampler_is_of_training_pictures_alone(folder):
    def repeats(*words):
        args = parse(example.arguments(), [str(folder), *words], example.defaults)[0]
        return [loader.repeats for loader in cli.loaders(args, *cli.open_pictures(args), example.augment)]

    assert repeats("--ra-sampler") == [3, 1] and repeats("--ra-sampler", "--ra-reps", "4") == [4, 1]
    assert repeats("--ra-reps", "4") == repeats() == [1, 1]
    assert cli.describe_augment(settings("--ra-sampler")).endswith(", 3 versions of a picture in a row")


@pytest.mark.filterwarnings("ignore:invalid value")  # of weights that are whatever lay in memory
def test_training_pictures_that_are_too_small_for_the_network():
    args = settings("-a", "vgg11", "--val-crop-size", "64", "--train-crop-size", "20", "-b", "4")
    with without_initial_weights():
        model = example.build_model(args, 3)
    with pytest.raises(
        ValueError, match="vgg11 cannot be trained on pictures of --train-crop-size 20; take larger ones"
    ):
        cli.check_feasible(args, model, 8)


@pytest.mark.slow
def test_a_run_with_all_of_them_goes_on_with_the_same_bits(folder, tmp_path):
    words = (
        "-a shufflenet_v2_x1_0 --val-resize-size 34 --val-crop-size 32 --train-crop-size 32 -b 4 -j 2 -p 9 --lr 0.01"
    )
    words += (
        " --random-resized-crop --auto-augment ta_wide --color-jitter 0.4 --random-erase 0.5 --mixup 0.2 --cutmix 1"
    )
    ends = []
    for out, epochs in (("whole", ["--epochs 2"]), ("parts", ["--epochs 1", "--epochs 2"])):
        last = tmp_path / out / "checkpoint_last.npz"
        assert run(folder, words, epochs[0], "--sched step", "--output-dir", tmp_path / out, program=example) == 0
        for more in epochs[1:]:
            assert run("--resume", last, more, program=example) == 0
        ends.append(load_checkpoint(last))
    for part in ("model", "optimizer", "scores", "best"):
        np.testing.assert_equal(ends[0][part], ends[1][part])
