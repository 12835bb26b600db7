"""The series of experiments as a whole: every program runs, and is what the documents say of it."""

import ast
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from lecture_runs import LECTURES, lecture_module, program, programs
from paths import ROOT
from PIL import Image

index = lecture_module("common.index")
KEPT = ROOT / "docs" / "lectures"


@pytest.mark.parametrize("name", programs.NAMES)
def test_it_runs(name, quick, capsys):
    results = quick(name)
    assert results["mode"] == "quick" and results["measured"] and results["result"]
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert not printed or json.loads(printed[-1])["lecture"] == name  # else another test has run it


@pytest.mark.slow
def test_one_command_runs_all(tmp_path):
    """From another folder, as its user calls it; a figure and results of each lie where it says."""
    command = [sys.executable, LECTURES, "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    count = len(programs.NAMES)
    assert f"{count} of {count} programs in " in done.stdout
    made = {path.name for path in (tmp_path / "runs" / "lectures").iterdir()}
    assert made == {f"{name}.quick.{kind}" for name in programs.NAMES for kind in ("json", "png")}


@pytest.mark.parametrize("name", programs.NAMES)
def test_what_is_kept_is_what_it_says(name):
    """The figure that documents show is one, and the docstring quotes the results that lie beside it."""
    module = program(name)
    results = json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
    assert results["mode"] == "default" and results["lecture"] == name
    sentence = " ".join(module.measured(results["result"]).split())
    assert module.LECTURE.page["Measured"] == sentence == " ".join(results["measured"].split())
    with Image.open(KEPT / f"{name}.png") as figure:
        assert min(figure.size) >= 200
        assert len(np.unique(np.asarray(figure.convert("RGB")) @ [1 << 16, 1 << 8, 1])) > 20, "it shows nothing"


def test_the_page_is_made_of_them():
    text = index.PAGE.read_text(encoding="utf-8")
    assert text == index.page(text), "make it again: python examples/lectures --keep"


@pytest.mark.parametrize("name", programs.NAMES)
def test_a_program_is_short(name):
    """About 120 lines of its own, beside its docstring."""
    source = (LECTURES / f"{name}.py").read_text(encoding="utf-8")
    docstring = ast.parse(source).body[0]
    assert len(source.splitlines()) - (docstring.end_lineno - docstring.lineno + 1) <= 132


def test_the_folder_they_share_lists_its_files():
    common = lecture_module("common")
    listed = re.findall(r"^(\w+\.py)  ", common.__doc__, re.M)
    there = {path.name for path in (LECTURES / "common").glob("*.py")} - {"__init__.py"}
    assert sorted(listed) == sorted(there)
