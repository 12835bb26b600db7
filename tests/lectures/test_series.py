"""The series of experiments as a whole: every program runs, and is what the documents say of it."""

import json

import pytest
from lecture_runs import LECTURES, programs


@pytest.mark.parametrize("name", programs.NAMES)
def test_it_runs(name, quick, capsys):
    results = quick(name)
    assert results["mode"] == "quick" and results["measured"] and results["result"]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert not printed or json.loads(printed[-1])["lecture"] == name  # else another test has run it


@pytest.mark.parametrize("name", programs.NAMES)
def test_a_program_is_short(name):
    """About 120 lines of its own, docstring and all."""
    assert len((LECTURES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 150
