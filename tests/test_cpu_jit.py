"""What is compiled is kept on disk, and only for as long as it is what the sources say."""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "kernels" / "cpu"
INNER = "from .jit import jit\n\n\n@jit\ndef inner(x):\n    return x + {}\n"
OUTER = "from .inner import inner\nfrom .jit import jit\n\n\n@jit\ndef outer(x):\n    return inner(x)\n"
RUN = "from package.outer import outer; print(outer(1.0), sum(outer.stats.cache_hits.values()))"


def result(folder):
    done = subprocess.run([sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True, check=True)
    return *done.stdout.split(), done.stderr.count("compiling")


def test_a_change_of_a_function_that_is_inlined_reaches_its_callers(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(FOLDER / "jit.py", package)
    (package / "inner.py").write_text(INNER.format(1))
    (package / "outer.py").write_text(OUTER)
    assert result(tmp_path) == ("2.0", "0", 1)
    assert result(tmp_path) == ("2.0", "1", 0)  # from the disk, without a word
    (package / "inner.py").write_text(INNER.format(2))
    assert result(tmp_path) == ("3.0", "0", 1)
