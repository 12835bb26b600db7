"""What is compiled is kept on disk, and used again only while it is what the sources say, and nobody has touched it."""

import ast
import os
import pickle
import shutil
import subprocess
import sys

import pytest
from paths import ROOT

from minicnn.kernels import compiled
from minicnn.kernels.cpu.machine.unit import unit

FOLDER = ROOT / "kernels" / "cpu"
INNER = "from ..machine.jit import jit\n\n\n@jit\ndef inner(x):\n    return x + {}\n"
OUTER = "from .gemm.inner import inner\nfrom .machine.jit import jit\n\n\n@jit\ndef outer(x):\n    return inner(x)\n"
RUN = "from package.outer import outer; print(outer(1.0), sum(outer.stats.cache_hits.values()))"
unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes, and does not ask the environment for the home")


def run(folder, code=RUN, **environment):
    variables = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "MINICNN_CACHE")}
    variables |= {"MINICNN_CACHE": str(folder / "cache"), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=variables, capture_output=True, text=True, check=True
    )


def result(folder, **environment):
    """(what the function returns, whether it was found on disk, whether compiling was announced)."""
    done = run(folder, **environment)
    assert done.stderr.count("\n") == done.stderr.count("compiling"), done.stderr
    return *done.stdout.split(), done.stderr.count("compiling")


COMPILED, FOUND = ("2.0", "0", 1), ("2.0", "1", 0)


@pytest.fixture
def package(tmp_path):
    package = tmp_path / "package"
    for room in (package, package / "machine", package / "gemm"):
        room.mkdir()
        (room / "__init__.py").touch()
    shutil.copy(FOLDER / "machine" / "jit.py", package / "machine")  # which a mutation may be in
    shutil.copy(ROOT / "kernels" / "cpu" / "machine" / "unit.py", package / "machine")
    (package / "gemm" / "inner.py").write_text(INNER.format(1))
    (package / "outer.py").write_text(OUTER)
    return package


def kept(folder, name="package.outer"):
    """The file that holds the compiled function."""
    (path,) = (folder / "cache" / "cpu").glob(f"*/{name}*")
    return path


def test_a_change_of_a_function_that_is_inlined_reaches_its_callers(tmp_path, package):
    assert result(tmp_path) == COMPILED
    assert result(tmp_path) == FOUND  # from the disk, without a word
    (package / "gemm" / "inner.py").write_text(INNER.format(2))
    assert result(tmp_path) == ("3.0", "0", 1)
    (package / "gemm" / "inner.py").write_text(INNER.format(1))
    assert result(tmp_path) == FOUND  # the code of the former text is still there


@pytest.mark.slow
def test_a_function_from_elsewhere_is_compiled_anew(tmp_path, package):
    """In a notebook, say: its text is not that of kernels/cpu, and a constant is not in its bytecode."""
    own = "from package.machine.jit import jit\n@jit\ndef own(x):\n    return x + {}\nprint(own(1.0))"
    assert [run(tmp_path, own.format(number)).stdout for number in (1.0, 2.0)] == ["2.0\n", "3.0\n"]


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_from_elsewhere_is_compiled_in(path):
    """A change there would not be noticed: code on disk is known by the text of kernels/cpu."""
    tree = ast.parse(path.read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and not node.level]
    elsewhere = {alias.asname or alias.name for node in imports for alias in node.names}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    compiled_here = [f for f in functions if any("jit" in ast.unparse(decorator) for decorator in f.decorator_list)]
    used = {name.id for function in compiled_here for name in ast.walk(function) if isinstance(name, ast.Name)}
    assert not used & elsewhere


def test_a_damaged_file_means_compiling_anew(tmp_path, package):
    """What else is damage: tests/kernels/test_compiled.py."""
    result(tmp_path)
    path = kept(tmp_path)
    for damaged in (b"", kept(tmp_path, "package.gemm.inner").read_bytes()):
        path.write_bytes(damaged)
        assert result(tmp_path) == COMPILED
    assert result(tmp_path) == FOUND
    path.unlink()
    path.mkdir()
    done = run(tmp_path)
    assert done.stdout.split() == ["2.0", "0"] and "cannot be kept" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("setting", [{"NUMBA_BOUNDSCHECK": "1"}, {"MINICNN_CPU": "baseline"}], ids=["numba", "unit"])
def test_a_setting_that_changes_the_code_has_code_of_its_own(tmp_path, package, setting):
    if "MINICNN_CPU" in setting and unit() == "baseline":
        pytest.skip("this processor has no other unit")
    assert result(tmp_path) == COMPILED
    assert result(tmp_path, **setting) == COMPILED
    assert result(tmp_path, **setting) == FOUND
    assert result(tmp_path) == FOUND


@pytest.mark.slow
def test_processes_that_compile_at_the_same_time(tmp_path, package):
    """Each with a type of its own, and all with the same one, as the first step of several runs does."""
    code = (
        "from package.outer import outer; import numpy, sys; print(outer(1.0), outer(getattr(numpy, sys.argv[1])(1)))"
    )
    environment = {**os.environ, "MINICNN_CACHE": str(tmp_path / "cache")}
    environment.pop("NUMBA_CACHE_DIR", None)
    kinds = "float32", "int64", "int32", "float32"
    running = [
        subprocess.Popen([sys.executable, "-c", code, kind], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
        for kind in kinds
    ]
    assert [process.communicate()[0].split()[0] for process in running] == [b"2.0"] * len(kinds)
    assert result(tmp_path) == FOUND
    found = run(
        tmp_path,
        f"from package.outer import outer\nimport numpy\nfor kind in {kinds!r}: outer(getattr(numpy, kind)(1))\n"
        "print(sum(outer.stats.cache_hits.values()), sum(outer.stats.cache_misses.values()))",
    )
    assert found.stdout.split() == ["3", "0"]


@unix
def test_a_kill_between_compiling_and_renaming_leaves_nothing_that_is_run(tmp_path, package):
    killed = "import os; os.replace = lambda *paths: os._exit(9)\n" + RUN
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(tmp_path, killed)
    assert caught.value.returncode == 9
    assert result(tmp_path) == COMPILED
    assert result(tmp_path) == FOUND


@unix
@pytest.mark.slow
def test_without_a_folder_to_write_to_all_runs_and_says_so(tmp_path, package):
    (tmp_path / "file").touch()  # a file: not even an administrator can write below it
    nowhere = str(tmp_path / "file" / "folder")
    for variables in ({"MINICNN_CACHE": nowhere}, {"MINICNN_CACHE": "", "HOME": nowhere, "XDG_CACHE_HOME": ""}):
        done = run(tmp_path, **variables)
        assert done.stdout.split() == ["2.0", "0"] and done.stderr.count("\n") == 1
        assert "nothing is kept" in done.stderr and nowhere in done.stderr and "MINICNN_CACHE" in done.stderr
    assert result(tmp_path, MINICNN_CACHE=nowhere, NUMBA_CACHE_DIR=str(tmp_path / "numba")) == COMPILED
    assert result(tmp_path, MINICNN_CACHE=nowhere, NUMBA_CACHE_DIR=str(tmp_path / "numba")) == FOUND


@unix
def test_code_that_others_may_have_written_is_not_run(tmp_path, package):
    assert result(tmp_path) == COMPILED
    (tmp_path / "cache" / "cpu").chmod(0o777)
    done = run(tmp_path)
    assert done.stdout.split() == ["2.0", "0"]
    assert "nothing is kept" in done.stderr and "mode 777" in done.stderr


@unix
def test_a_disk_that_is_full_is_said_once(tmp_path, package):
    full = (
        "from package.machine import jit\ndef write(*args): raise OSError(28, 'No space left on device')\n"
        "jit.compiled.write = write\n" + RUN
    )
    done = run(tmp_path, full + "; outer(1)")
    assert done.stdout.split() == ["2.0", "0"]
    assert done.stderr.count("No space left on device") == 1


def test_what_is_kept_is_checked_before_it_is_unpacked(tmp_path, package):
    """To unpickle is to run."""
    result(tmp_path)
    path = kept(tmp_path)
    path.write_bytes(bytes(compiled.DIGEST) + pickle.dumps(_Bomb()))
    assert result(tmp_path) == COMPILED


class _Bomb:
    def __reduce__(self):
        return os._exit, (3,)
