"""Files of weights changed at random (fuzz_weights.py): a slice of what that program does by thousands."""

import os
import subprocess
import sys
from pathlib import Path

import fuzz_weights
import pytest

PROGRAM = Path(fuzz_weights.__file__)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no alarms and no limits on memory")
def test_changed_files_are_read_or_refused():
    """In a process of its own, of which the memory is limited."""
    done = subprocess.run([sys.executable, PROGRAM, "--count", "1500"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("1500 files, seed 0: nothing else happened\n")


def test_the_program_notices(tmp_path, monkeypatch):
    """An exception of another kind, a message that does not name the file, too much memory, too long a time."""
    files = fuzz_weights.weight_files()
    real = fuzz_weights.read_weights

    def endless(path):
        while True:
            pass

    def foreign(path):
        raise IndexError("out of range")

    def nameless(path):
        raise fuzz_weights.WeightsError("something is wrong")

    def wasteful(path):
        return {key: array.repeat(1000) for key, array in real(path).items()}

    monkeypatch.setattr(fuzz_weights, "SECONDS", 1)
    cases = {endless: fuzz_weights.TooLong, foreign: IndexError, nameless: AssertionError, wasteful: AssertionError}
    for function, error in cases.items():
        calls = []

        def later(path, function=function, calls=calls):
            calls.append(path)
            return (real if len(calls) <= len(files) else function)(path)

        monkeypatch.setattr(fuzz_weights, "read_weights", later)
        with pytest.raises(error):
            fuzz_weights.fuzz(0, 100, tmp_path)
        assert (tmp_path / "weights.failed").exists()
        (tmp_path / "weights.failed").unlink()
