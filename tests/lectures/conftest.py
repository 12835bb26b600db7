"""The programs of examples/lectures, and their results."""

import os
from pathlib import Path

import pytest
from lecture_runs import results_of


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """quick("04_zero_mean") -> its results in the quick mode, measured once."""
    folder = tmp_path_factory.mktemp("lectures")
    return lambda name: results_of(name, "--quick", "--out", str(folder))


@pytest.fixture(scope="session")
def default(tmp_path_factory):
    """default("04_zero_mean") -> its results in the default mode, measured once, in minutes.

    MINICNN_TEST_LECTURES: a folder of results; what is measured there already is taken from it.
    """
    folder = os.environ.get("MINICNN_TEST_LECTURES") or tmp_path_factory.mktemp("lectures")
    return lambda name: results_of(name, "--out", str(Path(folder)))
