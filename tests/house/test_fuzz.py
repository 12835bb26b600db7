"""Some of the cases of fuzz.py, and that what they look for would be found."""

import signal
import subprocess
import sys

import fuzz
import guarded
import numpy as np
import pytest
from checks import needs_compiler
from paths import SUPPORT

from minicnn.device import implementation
from minicnn.kernels.cpu import linear

FOREIGN = """
import guarded, numpy as np
from minicnn.kernels.cpu.sgd import _update
w, grad = (guarded.copy(np.ones(n, np.float32), at_end={at_end}) for n in (64, {length}))
_update(w, grad, None, tuple(map(np.float32, (0.1, 0, 1, 0, 0))))
print("nothing happened")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="pages are guarded by mprotect, which Windows has not")
@pytest.mark.parametrize("length, at_end, ends", [(63, True, True), (64, True, False), (63, False, False)])
def test_one_number_beyond_the_end_ends_the_process(length, at_end, ends):
    """An update whose gradient has one element too few reads behind its end: seen where it ends at the page."""
    code = FOREIGN.format(length=length, at_end=at_end)
    done = subprocess.run([sys.executable, "-c", code], cwd=SUPPORT, capture_output=True, text=True)
    assert (done.returncode == -signal.SIGSEGV) == ends, done.stderr
    assert ("nothing happened" in done.stdout) == (not ends)


def test_guarded_arrays_hold_what_was_copied():
    for array in (
        np.arange(24.0).reshape(2, 3, 4),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.zeros((0, 3)),
        np.float32(3),
    ):
        for at_end in (True, False):
            copy = guarded.copy(np.asarray(array), at_end)
            assert np.array_equal(copy, array) and copy.dtype == np.asarray(array).dtype


def test_a_difference_between_tiers_is_a_problem(monkeypatch):
    numbers = range(2, 60, len(fuzz.misuse.KINDS))  # linear layers
    assert not any(fuzz.problem(0, number) for number in numbers)
    right = linear.linear_forward
    monkeypatch.setattr(linear, "linear_forward", lambda x, weight, bias: right(x, weight, None))
    implementation.cache_clear()
    try:
        assert any(fuzz.problem(0, number) for number in numbers)
    finally:
        monkeypatch.undo()
        implementation.cache_clear()


def test_cases_on_the_processor(capsys):
    assert fuzz.main(["--cases", "190", "--seed", "7"]) == 0, capsys.readouterr().out


@needs_compiler
def test_cases_on_the_emulated_gpu(capsys):
    assert fuzz.main(["--cases", "57", "--seed", "7", "--place", "cuda"]) == 0, capsys.readouterr().out
