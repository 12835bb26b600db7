"""From a .cu file to a library: the compiler's own words when it cannot be one, and each text built once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checks import needs_compiler, raises

from minicnn.cache import CacheError
from minicnn.device import DeviceError
from minicnn.emulated import on_device
from minicnn.kernels import compiled
from minicnn.kernels.cuda import emulator
from minicnn.kernels.cuda.emulator import compiler
from minicnn.kernels.cuda.launch import Kernel, KernelError

pytestmark = [needs_compiler, pytest.mark.emulator]

KERNEL = "template <typename T>\n__global__ void broken(T *y) {\n    y[0] = nonsense;\n}\n"


def test_a_kernel_that_does_not_compile(tmp_path):
    path = tmp_path / "broken.cu"
    path.write_text("// a comment\n" + KERNEL)
    with raises(KernelError, "broken.cu does not compile", "broken.cu:4:", "nonsense"):
        Kernel(path, "broken")[1, 1](on_device(np.zeros(1, np.float32)))


def test_lines_are_counted_past_what_is_included(tmp_path):
    path = tmp_path / "broken.cu"
    path.write_text('// T: tf32\n#include "own.cuh"\n#include "tensor_cores.cuh"\n' + KERNEL)
    (tmp_path / "own.cuh").write_text("constexpr int OWN = 1;\n\n\n")
    with raises(KernelError, "broken.cu does not compile", "broken.cu:6:", "nonsense"):
        Kernel(path, "broken")[1, 1](on_device(np.zeros(1, np.float32)))


def test_shared_arrays_that_cannot_be_read(tmp_path):
    path = tmp_path / "shared.cu"
    path.write_text("template <typename T>\n__global__ void shared(T *y) {\n    __shared__ T a[2], b[2];\n}\n")
    with raises(KernelError, "shared.cu:3", "one by one"):
        Kernel(path, "shared")[1, 1](on_device(np.zeros(1, np.float32)))


def test_a_library_is_built_once_for_each_text(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "ones.cu"
    for factor in (1, 2):
        path.write_text(f"template <typename T>\n__global__ void ones(T *y) {{ y[0] = T({factor}); }}\n")
        compiler.library.cache_clear()
        first, file = compiler.library(path), Path(compiler.library(path)).stat().st_ino
        compiler.library.cache_clear()
        assert compiler.library(path) == first and Path(first).stat().st_ino == file
    assert len(list((tmp_path / "cache" / "emulator").iterdir())) == 2
    compiler.library.cache_clear()


@pytest.fixture
def built(tmp_path, monkeypatch):
    """(a .cu file, its library in a cache of its own)."""
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "ones.cu"
    path.write_text("template <typename T>\n__global__ void ones(T *y) { y[0] = T(1); }\n")
    compiler.library.cache_clear()
    yield path, Path(compiler.library(path))
    compiler.library.cache_clear()


def test_compiling_is_announced_once_and_only_where_it_happens(built, capsys, monkeypatch):
    path, library = built
    monkeypatch.setattr(compiler, "_announce", compiled.Announcement())
    compiler.library.cache_clear()
    assert compiler.library(path) == str(library)
    assert capsys.readouterr() == ("", "")
    for text in ("// one", "// another"):
        path.write_text(f"{path.read_text()}{text}\n")
        compiler.library.cache_clear()
        compiler.library(path)
    found = capsys.readouterr()
    assert found.out == "" and found.err.count("\n") == 1
    assert found.err == "minicnn: compiling kernels for the emulator: some 20 s; kept for later runs\n"


@pytest.mark.parametrize("damage", [lambda code: b"", lambda code: code[:-1], lambda code: code[:-1] + b"?"])
def test_a_damaged_library_is_not_loaded(damage, built):
    path, library = built
    library.write_bytes(damage(library.read_bytes()))
    compiler.library.cache_clear()
    again = Path(compiler.library(path))
    assert compiler._digest(again) == again.stem.rpartition("-")[2]
    assert emulator._load(str(again))["emulate_ones_float"]


def test_another_compiler_makes_a_library_of_its_own(built, monkeypatch):
    path, library = built
    monkeypatch.setattr(compiler, "_version", lambda: "c++ 99")
    compiler.library.cache_clear()
    assert compiler.library(path) != str(library)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_a_library_that_others_may_have_written_is_not_loaded(built, capsys, monkeypatch):
    path, library = built
    monkeypatch.setattr(compiler, "_announce", compiled.Announcement())
    library.parent.chmod(0o777)
    compiler.library.cache_clear()
    compiler._for_now.cache_clear()
    elsewhere = compiler.library(path)
    assert library.parent not in Path(elsewhere).parents and Path(elsewhere).is_file()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "mode 777" in said and "MINICNN_CACHE" in said


def test_a_kill_while_compiling_leaves_nothing_that_is_loaded(built):
    path, library = built
    library.unlink()
    code = (
        "import os\nfrom pathlib import Path\nfrom minicnn.kernels.cuda.emulator import compiler\n"
        f"os.replace = lambda *paths: os._exit(9)\ncompiler.library(Path({str(path)!r}))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert not list(library.parent.glob("*.so"))
    compiler.library.cache_clear()
    assert Path(compiler.library(path)).is_file()


def test_a_full_disk_is_not_a_mistake_in_the_kernel(built, monkeypatch):
    path, _ = built
    path.write_text(path.read_text() + "\n")
    monkeypatch.setattr(Path, "write_text", _full)
    compiler.library.cache_clear()
    with raises(CacheError, "No space left", "MINICNN_CACHE"):
        compiler.library(path)


def _full(*arguments, **options):
    raise OSError(28, "No space left on device")


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    compiler.compiler.cache_clear()
    try:
        with raises(DeviceError, "MINICNN_EMULATE_GPU", "C++20 compiler", "CXX", "device 'cpu'"):
            compiler.compiler()
    finally:
        compiler.compiler.cache_clear()
