"""--config FILE: settings of a former run, or written by hand, below the command line."""

import json

import pytest
from checks import raises

from minicnn.cli.arguments import parse
from minicnn.commands import train as example
from minicnn.errors import SettingError


@pytest.fixture
def settings(tmp_path):
    def settings(content, words=""):
        file = tmp_path / "config.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return parse(example.arguments(), ["--config", str(file), *words.split()], example.defaults)[0]

    return settings


def test_goes_before_the_recipe_and_behind_the_command_line(settings):
    """Any of a flag's names will do; the recipe is that of the file."""
    args = settings({"arch": "vgg11", "lr": 1, "weight-decay": 0.5, "sched": "steps", "no_augment": True}, "--wd 0.25")
    assert (args.recipe, args.lr, args.wd, args.sched) == ("alexnet", 1, 0.25, "multistep")
    assert args.no_augment and args.momentum == 0.9 and args.batch_size == 32  # AlexNet's, for the sample set
    assert settings({"recipe": "resnet", "arch": "vgg11", "dummy": True}).batch_size == 256
    assert settings({"report": False}).report is False and settings({"report": False}, "--report").report is True


def test_the_settings_of_a_run_give_it_once_more(settings):
    words = "DIR -a resnet34 --sched cosine --opt adamw --warmup-epochs 3 --classes a b --dropout 0 --wd 0.125"
    before = parse(example.arguments(), words.split(), example.defaults)[0]
    called = {**vars(before), "resume": "old.npz", "output_dir": "old", "environment": {"numpy": "2"}}
    again = settings(called)
    assert vars(again) | {"config": None} == vars(before)
    assert settings(called, "OTHER").dir == "OTHER"
    assert settings(called, "--dummy").dir is None
    assert settings(called | {"dir": None, "dummy": True}, "OTHER").dummy is False


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"learning": 0.1}, ["'learning' is no setting", "did you mean learning_rate?"]),
        ({"zzz": 0.1}, ["'zzz'", "--help"]),
        ({"lr": "0.1"}, ["lr cannot be '0.1'"]),
        ({"lr": -1}, ["lr cannot be -1"]),
        ({"opt": "adagrad"}, ["opt cannot be 'adagrad'", "--opt"]),
        ({"milestones": 3}, ["milestones cannot be 3"]),
        ({"no_augment": 1}, ["no_augment"]),
        ({"no_report": True}, ["'no_report' is no setting", "did you mean report?"]),
        ({"no-tensorboard": True}, ["'no-tensorboard' is no setting", "did you mean tensorboard?"]),
        ({"wd": 0.1, "weight-decay": 0.2}, ["wd stands there twice"]),
        ("[1]", ["holds no settings"]),
        ("{", ["is no JSON"]),
    ],
)
def test_what_is_no_setting_is_refused_in_a_line(settings, content, parts):
    with pytest.raises(SettingError) as error:
        settings(content)
    message = str(error.value)
    assert "config.json" in message and "\n" not in message and all(part in message for part in parts), message


def test_a_file_that_is_not_there(tmp_path, capsys):
    with raises(SettingError, "none.json", "cannot be read"):
        parse(example.arguments(), ["--config", str(tmp_path / "none.json")], example.defaults)
    with pytest.raises(SystemExit):
        parse(example.arguments(), ["--config", "a.json", "--resume", "b.npz"], example.defaults)
    assert "leave --config out" in capsys.readouterr().err
