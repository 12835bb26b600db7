"""The command minicnn: its words, their help, what it answers to mistakes; and the programs that do the same."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from checks import raises
from paths import EXAMPLES, ROOT
from programs import load_example

import minicnn
from minicnn import calling
from minicnn.calling import called_as
from minicnn.commands import entry, main
from minicnn.commands.entry import COMMANDS
from minicnn.train import Interrupted
from minicnn.train.exit import resume_command


def said(capsys, *words, code=0):
    """(stdout, stderr) of the command, which ends with that code."""
    try:
        assert main([str(word) for word in words]) == code
    except SystemExit as end:  # argparse's
        assert end.code == code
    return capsys.readouterr()


def fails(capsys, *words):
    """The one line it ends with."""
    out, err = said(capsys, *words, code=2)
    assert not out and err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_the_help_names_every_command(capsys):
    for words in (["--help"], ["-h"], ["help"]):
        out, err = said(capsys, *words)
        assert re.findall(r"^  (\w+) +\S", out, re.M)[: len(COMMANDS)] == list(COMMANDS) and not err
    assert said(capsys, code=2).out == out
    assert said(capsys, "--version").out == f"minicnn {minicnn.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_has_its_name_and_an_example(name, capsys):
    out, _ = said(capsys, name, "--help")
    assert out.startswith(f"usage: minicnn {name} [-h]")
    assert re.search(rf"^for example:\n  minicnn {name}\b", out, re.M), out
    with called_as("python", "-m", "minicnn", name):
        with pytest.raises(SystemExit):
            COMMANDS[name].run(["--help"])
        assert f"python -m minicnn {name}" in capsys.readouterr().out


def test_what_is_no_command(capsys):
    assert fails(capsys, "trian") == "error: minicnn has no command 'trian'; did you mean train?\n"
    assert fails(capsys, "x" * 99).endswith(f"; there are {', '.join(COMMANDS)}\n")
    assert fails(capsys, "--verbose")


def test_a_command_gets_its_words_and_its_code_is_returned(monkeypatch):
    seen = []
    command = entry.Command(lambda words: (seen.append((words, calling.prog())), 3)[1], "")
    monkeypatch.setitem(COMMANDS, "train", command)
    assert main(["train", "DIR", "--help"]) == 3
    assert main(["train"], called=("python", "-m", "minicnn")) == 3
    assert seen == [(["DIR", "--help"], "minicnn train"), ([], "python -m minicnn train")]
    assert calling.prog() is None  # it is over


def test_how_to_go_on_is_said_in_the_words_it_was_called_by():
    with called_as("minicnn", "train"):
        assert shlex.split(resume_command("a b.npz")) == ["minicnn", "train", "--resume", "a b.npz"]
    assert shlex.split(resume_command("b.npz")) == ["python", sys.argv[0], "--resume", "b.npz"]


def test_a_run_that_is_stopped_says_how_it_goes_on(monkeypatch, capsys):
    def stopped(words):
        raise Interrupted(Path("runs/a/checkpoint_last.npz"), signal.SIGINT)

    monkeypatch.setitem(COMMANDS, "train", entry.Command(stopped, ""))
    out, _ = said(capsys, "train", code=130)
    assert out == "stopped; to go on: minicnn train --resume runs/a/checkpoint_last.npz\n"


def test_a_bad_flag_is_answered_by_the_command(capsys):
    err = said(capsys, "summary", "resnet20", "--colour", code=2).err
    assert err.splitlines()[-1] == "minicnn summary: error: unrecognized arguments: --colour"


# summary, report


def test_summary(capsys):
    out, _ = said(capsys, "summary", "resnet20")
    assert out == f"{said(capsys, 'summary', 'resnet20', '-n', 10, '--input', 3, 32, 32).out}"
    assert re.search(r"^total +188,426 neurons +269,722 +40,551,040 ", out, re.M)
    other = said(capsys, "summary", "resnet20", "--num-classes", "3", "--input", "3", "16", "16").out
    assert "fc Linear" in other and re.search(r"^fc Linear +3 +195 ", other, re.M)


def test_summary_refuses(capsys):
    err = fails(capsys, "summary", "resnet19")
    assert "there is no network 'resnet19', but resnet18" in err and "--help" in err
    assert "resnet20 takes no pictures of 4 x 32 x 32: conv2d" in fails(
        capsys, "summary", "resnet20", "--input", 4, 32, 32
    )


def test_report(trained, tmp_path, capsys):
    page = trained / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert said(capsys, "report", trained).out == f"{page}\n"
    assert page.read_bytes() == before
    assert f"there is no folder {tmp_path / 'none'}; give" in fails(capsys, "report", tmp_path / "none")
    assert "log.csv has no epoch yet" in fails(capsys, "report", tmp_path)


# As programs


def run(*words, cwd):
    """The finished process."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "command"), [("train_imagenet", "train"), ("evaluate_weights", "evaluate"), ("classify", "classify")]
)
def test_programs_that_are_commands(name, command, monkeypatch, capsys):
    """Their help differs in nothing but how they are called."""
    program = load_example(EXAMPLES / f"{name}.py")
    assert program.main is COMMANDS[command].run
    monkeypatch.setattr(sys, "argv", [f"examples/{name}.py"])
    with pytest.raises(SystemExit):
        program.main(["--help"])
    own = capsys.readouterr().out
    assert own.startswith(f"usage: {name}.py [-h]") and f"for example:\n  python examples/{name}.py" in own
    assert program.__doc__.count(f"python examples/{name}.py ") >= 3


def test_from_a_shell(tmp_path):
    """python -m minicnn, and the same through a program, from a folder that has nothing of minicnn."""
    done = run("-m", "minicnn", "classify", "nowhere.jpg", "--weights", "nothing.npz", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "nothing.npz" in done.stderr
    same = run(EXAMPLES / "classify.py", "nowhere.jpg", "--weights", "nothing.npz", cwd=tmp_path)
    assert (same.returncode, same.stdout, same.stderr) == (2, "", done.stderr)


def test_the_entry_point_is_the_command():
    """As pyproject.toml has it."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["minicnn"].partition(":")
    assert getattr(sys.modules[module], function) is main


def test_outside_of_a_block_the_name_is_that_of_before():
    with called_as("a"):
        with raises(ValueError, "b"), called_as("b"):
            raise ValueError("b")
        assert calling.words() == ["a"]
