"""Running the programs of examples/lectures, for their tests."""

import sys

import pytest
from paths import EXAMPLES

LECTURES = EXAMPLES / "lectures"


def lecture_module(name):
    """A module of the series, "common.programs"."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(LECTURES))
        __import__(name)
        return sys.modules[name]


programs = lecture_module("common.programs")
experiment = lecture_module("common.experiment")


def program(name):
    """The program of that name, as a module."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(LECTURES))
        return programs.load(name)


def results_of(name, *arguments):
    """What is in its file of results, after a run with these arguments."""
    lecture = program(name).LECTURE
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(LECTURES))  # where processes that a program starts find "common"
        return lecture.run(experiment.parser("").parse_args(list(arguments)))
