"""The settings of a checkpoint are held against the flags that could have given them."""

import pytest

from minicnn.cli import make_parser, parse, whole
from minicnn.cli.remembered import check_settings, settings
from minicnn.train import CheckpointError


def parser():
    found = make_parser("", ["one", "two"])
    found.add_argument("--steps", type=whole(1), nargs="+", default=[3, 4])
    found.add_argument("--warming", type=whole(0))
    found.set_defaults(network={}, note="of the program itself")
    return found


def given(words=""):
    args, state = parse(parser(), words.split(), lambda args: {"image_size": 8, "preprocess": "mean_image"})
    assert state is None
    return args


@pytest.mark.parametrize(
    "words",
    ["", "DIR", "-- -d", "--dummy", "--steps 7 --warming 0 -a two", "--classes a -1 --lr 1e-05", "--val-fraction 0.25"],
)
def test_what_the_command_line_gives_is_taken(words, capsys):
    args = given(words)
    check_settings(settings(args), args, "file", parser())
    check_settings(settings(args) | {"network": {"plain": True}, "dir": "two words"}, args, "file", parser())
    assert not any(capsys.readouterr())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("arch", "three"),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("batch_size", True),
        ("batch_size", None),
        ("batch_size", [4]),
        ("lr", float("nan")),
        ("lr", "fast"),
        ("steps", 3),
        ("steps", [3, 0]),
        ("steps", ["--help"]),
        ("classes", ["a", 1]),
        ("dummy", "yes"),
        ("dummy", None),
        ("dir", ""),
        ("network", "plain"),
    ],
)
def test_what_it_cannot_give_is_refused(name, value, capsys):
    args = given()
    with pytest.raises(CheckpointError, match=f"file: its settings cannot be used here, {name} is "):
        check_settings(settings(args) | {name: value}, args, "file", parser())
    assert not any(capsys.readouterr())
