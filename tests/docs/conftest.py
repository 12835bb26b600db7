"""The chapters of the tour and the tutorial, as notebooks."""

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
