"""The variables of the environment: what they may be, and one line for what they may not."""

import os
import subprocess
import sys

import pytest
from checks import raises

from minicnn import envvars
from minicnn.emulated import emulating
from minicnn.envvars import EnvVarError


@pytest.mark.parametrize("value, expected", [("", None), ("  ", None), ("4", 4), (" 4 ", 4), ("4096", 4096)])
def test_whole_numbers(value, expected, monkeypatch):
    monkeypatch.setenv("MINICNN_THREADS", value)
    assert envvars.whole("MINICNN_THREADS", 4096) == expected
    monkeypatch.delenv("MINICNN_THREADS")
    assert envvars.whole("MINICNN_THREADS", 4096) is None


@pytest.mark.parametrize("value", ["abc", "0", "-3", "1e9", "2.5", "4097", "9" * 5000, "\u00b2", "4 4"])
def test_what_is_no_number_of_threads(value, monkeypatch):
    monkeypatch.setenv("MINICNN_THREADS", value)
    with raises(EnvVarError, "MINICNN_THREADS", "from 1 to 4096", repr(value)):
        envvars.whole("MINICNN_THREADS", 4096)


def test_switches(monkeypatch):
    for value, expected in (("1", True), (" TRUE ", True), ("on", True), ("0", False), ("off", False), ("No", False)):
        monkeypatch.setenv("MINICNN_EMULATE_GPU", value)
        assert emulating() is expected
    for value in ("", " "):
        monkeypatch.setenv("MINICNN_EMULATE_GPU", value)
        assert [envvars.switch("MINICNN_EMULATE_GPU", default=default) for default in (True, False)] == [True, False]
    for value in ("2", "maybe", "cuda"):
        monkeypatch.setenv("MINICNN_EMULATE_GPU", value)
        with raises(EnvVarError, "MINICNN_EMULATE_GPU must be 1 or 0", repr(value)):
            emulating()


def test_a_program_ends_with_one_line():
    code = (
        "import sys\nfrom minicnn.train import exit_code\nfrom minicnn.train.environment import environment\n"
        "sys.exit(exit_code(environment))"
    )
    variables = {**os.environ, "MINICNN_THREADS": "many"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: MINICNN_THREADS") and "'many'" in done.stderr
