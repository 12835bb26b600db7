"""What is compiled is kept on disk, and only for as long as it is what the sources say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "kernels" / "cpu"
INNER = "from .jit import jit\n\n\n@jit\ndef inner(x):\n    return x + {}\n"
OUTER = "from .inner import inner\nfrom .jit import jit\n\n\n@jit\ndef outer(x):\n    return inner(x)\n"
RUN = "from package.outer import outer; print(outer(1.0), sum(outer.stats.cache_hits.values()))"


def run(folder, **environment):
    return subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def result(folder):
    done = run(folder)
    return *done.stdout.split(), done.stderr.count("compiling")


@pytest.fixture
def package(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(FOLDER / "jit.py", package)
    (package / "inner.py").write_text(INNER.format(1))
    (package / "outer.py").write_text(OUTER)
    return package


def test_a_change_of_a_function_that_is_inlined_reaches_its_callers(tmp_path, package):
    assert result(tmp_path) == ("2.0", "0", 1)
    assert result(tmp_path) == ("2.0", "1", 0)  # from the disk, without a word
    (package / "inner.py").write_text(INNER.format(2))
    assert result(tmp_path) == ("3.0", "0", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not ask the environment where the user's folder is")
def test_without_a_folder_to_write_to_all_runs_and_says_so(tmp_path, package):
    (package / "__pycache__").touch()  # a file: not even an administrator can write below it
    nowhere = str(package / "__pycache__" / "folder")
    for _ in range(2):
        done = run(tmp_path, NUMBA_CACHE_DIR=nowhere, HOME=nowhere, XDG_CACHE_HOME=nowhere)
        assert done.stdout.split() == ["2.0", "0"]
        assert done.stderr.count("compiling") == 1
        assert "nothing is kept" in done.stderr and "NUMBA_CACHE_DIR" in done.stderr
    done = run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"), HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert done.stdout.split() == ["2.0", "0"] and "later runs" in done.stderr
    assert list((tmp_path / "cache").rglob("*.nbi"))
