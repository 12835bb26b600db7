"""From a .cu file to a library: the compiler's own words when it cannot be one, and each text built once."""

from pathlib import Path

import numpy as np
from checks import needs_compiler, raises

from minicnn.device import DeviceError
from minicnn.emulated import on_device
from minicnn.kernels.cuda.emulator import compiler
from minicnn.kernels.cuda.launch import Kernel, KernelError

pytestmark = needs_compiler

KERNEL = "template <typename T>\n__global__ void broken(T *y) {\n    y[0] = nonsense;\n}\n"


def test_a_kernel_that_does_not_compile(tmp_path):
    path = tmp_path / "broken.cu"
    path.write_text("// a comment\n" + KERNEL)
    with raises(KernelError, "broken.cu does not compile", "broken.cu:4:", "nonsense"):
        Kernel(path, "broken")(1, 1, on_device(np.zeros(1, np.float32)))


def test_lines_are_counted_past_what_is_included(tmp_path):
    path = tmp_path / "broken.cu"
    path.write_text('// T: tf32\n#include "own.cuh"\n#include "tensor_cores.cuh"\n' + KERNEL)
    (tmp_path / "own.cuh").write_text("constexpr int OWN = 1;\n\n\n")
    with raises(KernelError, "broken.cu does not compile", "broken.cu:6:", "nonsense"):
        Kernel(path, "broken")(1, 1, on_device(np.zeros(1, np.float32)))


def test_shared_arrays_that_cannot_be_read(tmp_path):
    path = tmp_path / "shared.cu"
    path.write_text("template <typename T>\n__global__ void shared(T *y) {\n    __shared__ T a[2], b[2];\n}\n")
    with raises(KernelError, "shared.cu:3", "one by one"):
        Kernel(path, "shared")(1, 1, on_device(np.zeros(1, np.float32)))


def test_a_library_is_built_once_for_each_text(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "ones.cu"
    for factor in (1, 2):
        path.write_text(f"template <typename T>\n__global__ void ones(T *y) {{ y[0] = T({factor}); }}\n")
        compiler.library.cache_clear()
        first, changed = compiler.library(path), Path(compiler.library(path)).stat().st_mtime_ns
        compiler.library.cache_clear()
        assert compiler.library(path) == first and Path(first).stat().st_mtime_ns == changed
    assert len(list((tmp_path / "cache" / "emulator").iterdir())) == 2
    compiler.library.cache_clear()


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    compiler.compiler.cache_clear()
    try:
        with raises(DeviceError, "MINICNN_EMULATE_GPU", "C++20 compiler", "CXX", "device 'cpu'"):
            compiler.compiler()
    finally:
        compiler.compiler.cache_clear()
