"""The chapters of the tour, the tutorial and examples/notebooks, as notebooks."""

import importlib.util
import subprocess
import sys

import pytest
from paths import ROOT


@pytest.fixture(scope="session")
def build():
    """The program that makes the notebooks, as a module."""
    for name in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"{name}, which runs the chapters of the tour, is not installed")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(ROOT / "docs" / "tour")
        import build

        yield build


@pytest.fixture
def first_cell(build, monkeypatch):
    """first_cell(program) -> run(repository, colab, missing): runs its first cell of code, where the package `missing`
    is not installed -> the commands that have been called so far."""
    called = []
    found = importlib.util.find_spec
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command))

    def of(program):
        cell = next(cell for cell in build.source(program).cells if cell.cell_type == "code")

        def run(repository, colab, missing="minicnn"):
            with monkeypatch.context() as context:
                context.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
                context.delitem(sys.modules, "google.colab", raising=False)
                if colab:
                    context.setitem(sys.modules, "google.colab", sys)
                exec(cell.source.replace('REPOSITORY = ""', f"REPOSITORY = {repository!r}"), {})
            return called

        return run

    return of
