"""Launching: the .cu text says what a kernel takes, and whatever else is handed to it is refused by name."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from checks import needs_compiler, raises

from minicnn.emulated import on_device
from minicnn.kernels.cuda import launch
from minicnn.kernels.cuda.launch import Kernel, KernelError, address, blocks, contiguous, empty
from minicnn.kernels.cuda.source import Parameter, kernels

pytestmark = [needs_compiler, pytest.mark.emulator]

RIGHT = Path(__file__).with_name("kernels_right.cu")


def ones(*shape, dtype=np.float32):
    return on_device(np.ones(shape, dtype))


@pytest.fixture
def sum_blocks():
    return Kernel(RIGHT, "sum_blocks")


@pytest.fixture
def count():
    return Kernel(RIGHT, "count")


def test_the_text_says_what_a_kernel_takes(count):
    assert count.parameters == [
        Parameter("x", "T", True, True),
        Parameter("counts", "int", True, False),
        Parameter("sum", "T", True, False),
        Parameter("flags", "unsigned char", True, False),
        Parameter("size", "long long", False, False),
    ]
    assert [str(p) for p in Kernel(RIGHT, "transpose_tile").parameters] == ["const T *x", "T *y"]


def test_comments_are_no_kernels(tmp_path):
    path = tmp_path / "comments.cu"
    path.write_text(
        "/* template <typename T> __global__ void no(T *y) {} */\ntemplate <typename T> // a\n__global__ void yes(\n"
        "    const T *__restrict__ x,  // here, and there\n    T *y, /* (N,) */ unsigned int n, bool b, float p) {}\n"
    )
    assert {name: [str(p) for p in parameters] for name, parameters in kernels(path).items()} == {
        "yes": ["const T *x", "T *y", "unsigned int n", "bool b", "float p"]
    }


def test_names_and_types_that_are_not_there(tmp_path):
    with raises(KernelError, "kernels_right.cu", "has no kernel nothing"):
        Kernel(RIGHT, "nothing")
    with raises(AttributeError, "kernels/cuda/activation.cu", "no kernel softplus", "sigmoid_forward"):
        _ = launch.CudaFile("activation.cu").softplus
    path = tmp_path / "strange.cu"
    path.write_text("template <typename T> __global__ void strange(T *y, size_t n) {}")
    with raises(KernelError, "strange (strange.cu)", "size_t n", "long long"):
        Kernel(path, "strange")


@pytest.mark.parametrize("grid, block", [(0, 32), ((3, 0), 32), (2, 0), (2, (4, 0, 1))])
def test_a_launch_of_nothing(sum_blocks, grid, block):
    y = ones(2)
    sum_blocks[grid, block](ones(4), y, 4)
    assert (np.asarray(y) == 1).all()


@pytest.mark.parametrize(
    "arguments, error, parts",
    [
        ((ones(4), ones(1)), TypeError, ["takes 3 arguments", "int size", "got 2"]),
        ((ones(4), ones(1, dtype=np.float64), 4), TypeError, ["T cannot be", "float32 (x)", "float64 (y)"]),
        ((ones(4, dtype=np.float16), ones(1, dtype=np.float16), 4), TypeError, ["x is float16", "float32 or float64"]),
        ((None, None, 4), TypeError, ["what T is"]),
        (([1.0], ones(1), 4), TypeError, ["const T *x", "takes an array", "list"]),
        ((np.ones(4, np.float32), ones(1), 4), TypeError, ["const T *x", "'cuda'", "'cpu'", "to_device"]),
        ((ones(4), ones(4, 4).T[:, 1:], 4), ValueError, ["T *y", "C-contiguous", "(4, 3)"]),
        ((ones(4), ones(1), ones(1)), TypeError, ["int size", "takes a number", "EmulatedArray"]),
        ((ones(4), ones(1), 4.0), TypeError, ["int size", "whole number", "4.0"]),
        ((ones(4), ones(1), "4"), TypeError, ["int size", "str"]),
        ((ones(4), ones(1), 2**31), ValueError, ["int size", "2147483647", "2147483648"]),
        ((ones(4), ones(1), -(2**31) - 1), ValueError, ["int size", "-2147483648", "-2147483649"]),
    ],
)
def test_arguments(sum_blocks, arguments, error, parts):
    with raises(error, "sum_blocks (kernels_right.cu)", *parts):
        sum_blocks[1, 4](*arguments, shared=16)


def test_the_dtype_of_other_arrays(count):
    with raises(TypeError, "count (kernels_right.cu)", "int *counts", "int32", "int64"):
        count[1, 4](ones(4), ones(4, dtype=np.int64), ones(1), ones(4, dtype=np.uint8), 4)


def test_what_is_written_must_be_writable(sum_blocks):
    y = ones(1)
    y.flags.writeable = False
    sum_blocks[1, 4](y, ones(1), 1, shared=16)
    with raises(ValueError, "T *y", "read-only"):
        sum_blocks[1, 4](ones(4), y, 4, shared=16)


@pytest.mark.parametrize(
    "grid, block, shared, error, parts",
    [
        (1, 1025, 0, ValueError, ["block", "(1025, 1, 1)"]),
        (1, (32, 33), 0, ValueError, ["block (32, 33, 1)", "1056 threads", "1024"]),
        (1, (1, 1, 65), 0, ValueError, ["block", "(1, 1, 65)"]),
        ((1, 65536), 1, 0, ValueError, ["grid", "(1, 65536, 1)"]),
        (-1, 1, 0, ValueError, ["grid", "(-1, 1, 1)"]),
        ((1, 1, 1, 1), 1, 0, TypeError, ["grid", "one to three"]),
        (1.5, 1, 0, TypeError, ["grid", "one to three", "1.5"]),
        (1, None, 0, TypeError, ["block", "one to three", "None"]),
        (1, 1, "x", TypeError, ["shared", "whole number of bytes"]),
        (1, 1.5, 0, TypeError, ["block"]),
        (1, 1, 232449, ValueError, ["232449 bytes", "232448"]),
    ],
)
def test_sizes(sum_blocks, grid, block, shared, error, parts):
    block = (block,) if isinstance(block, float) else block
    with raises(error, "sum_blocks", *parts):
        sum_blocks[grid, block](ones(4), ones(1), 4, shared=shared)


def test_what_is_only_read_may_have_gaps(sum_blocks):
    x, y = on_device(np.arange(12, dtype=np.float32).reshape(3, 4)), ones(1)
    sum_blocks[1, 4](x.T[:, 1], y, 4, shared=16)
    assert np.asarray(y) == [4 + 5 + 6 + 7]


def test_numpy_numbers_are_numbers(sum_blocks):
    y = ones(1)
    sum_blocks[np.int64(1), (np.int32(4),)](ones(4), y, np.int64(3), shared=16)
    assert np.asarray(y) == [3]


def test_cupy_arrays_go_to_the_module_of_the_file(monkeypatch, sum_blocks):
    """With a stand-in for CuPy's array and its module: what is asked for, and what the launch is given."""

    class Array:
        dtype, shape, strides, flags = np.dtype(np.float64), (4,), (8,), np.ones(4).flags

    launched = []
    monkeypatch.setattr(
        launch, "_gpu_kernel", lambda *asked: lambda *given, **options: launched.append((asked, given, options))
    )
    monkeypatch.setattr("minicnn.kernels.arguments.device_of", lambda array: "cuda")
    x, y = Array(), Array()
    sum_blocks[(2, 3), 4](x, y, 4, shared=16)
    sum_blocks[1, 4](x, None, 4)
    (asked, (grid, block, arguments), options), (_, (_, _, (_, null, _)), _) = launched
    assert asked == (RIGHT, "sum_blocks<double>") and (grid, block, options) == (
        (2, 3, 1),
        (4, 1, 1),
        {"shared_mem": 16},
    )
    assert arguments == (x, y, 4) and isinstance(arguments[2], np.int32)
    assert null == 0 and null.dtype == np.uint64


def test_a_file_that_the_gpus_compiler_refuses(monkeypatch, tmp_path):
    """With a stand-in for CuPy, whose compiler complains of the text that it is given."""

    class CompileException(Exception):
        pass

    class RawModule:
        def __init__(self, code, options, name_expressions):
            self.code, self.asked = code, name_expressions

        def compile(self):
            raise CompileException(f"{self.code.splitlines()[0]}: error in line 2 of {self.asked}")

    cupy = types.ModuleType("cupy")
    cupy.RawModule = RawModule
    cupy.cuda = types.SimpleNamespace(compiler=types.SimpleNamespace(CompileException=CompileException))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    path = tmp_path / "broken.cu"
    path.write_text("template <typename T>\n__global__ void broken(T *x) { x[0] = y; }\n")
    with raises(KernelError, "broken.cu does not compile", '#line 1 "broken.cu"', "broken<float>", "broken<double>"):
        launch._gpu_kernel(path, "broken<float>")


def test_arrays_reached_through_a_table():
    """A kernel that is given addresses may touch the arrays that it reaches, and nothing beside them."""
    add = Kernel(RIGHT, "add_one_to_each")
    arrays = [ones(5), ones(3, 2)]
    table = on_device(np.array([(address(a), a.size) for a in arrays], np.uint64))
    one = ones(1)
    add[(1, 2), 8](one, table, reaches=arrays)
    assert all((np.asarray(a) == 2).all() for a in arrays)
    with raises(KernelError, "add_one_to_each", "out of bounds"):
        add[(1, 2), 8](one, table, reaches=arrays[:1])
    table[1, 1] = 7
    with raises(KernelError, "add_one_to_each", "reaches[1]", "6"):
        add[(1, 2), 8](one, table, reaches=arrays)
    for wrong, error, part in ((ones(2, dtype=np.float64), TypeError, "float64"), (np.ones(2), TypeError, "'cpu'")):
        with raises(error, "add_one_to_each", "reaches[1]", part):
            add[(1, 2), 8](one, table, reaches=[arrays[0], wrong])


def test_arrays_of_two_gpus(monkeypatch, sum_blocks):
    class Array:
        dtype, flags = np.dtype(np.float32), np.ones(4).flags

        def __init__(self, device):
            self.device = device

    monkeypatch.setattr("minicnn.kernels.arguments.device_of", lambda array: "cuda")
    with raises(ValueError, "sum_blocks", "several GPUs", "GPU 0, GPU 1"):
        sum_blocks[1, 4](Array("GPU 0"), Array("GPU 1"), 4)


def test_arrays_of_a_gpu_that_is_not_the_current_one(monkeypatch, sum_blocks):
    class Device(int):
        id = property(int)

    class Array:
        dtype, flags, device = np.dtype(np.float32), np.ones(4).flags, Device(1)

    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(Device=lambda: Device(0))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr("minicnn.kernels.arguments.device_of", lambda array: "cuda")
    with raises(ValueError, "sum_blocks", "on 1", "0 is the current GPU", "Device(1)"):
        sum_blocks[1, 4](Array(), Array(), 4)


def test_helpers():
    assert [blocks(n, 256) for n in (0, 1, 256, 257, 10**9)] == [0, 1, 1, 2, 65535]
    x = ones(2, 3)
    assert contiguous(None) is None and contiguous(x) is x and contiguous(x.T).flags.c_contiguous
    like = empty(x.T, (4, 5))
    assert type(like) is type(x) and like.shape == (4, 5) and like.flags.c_contiguous and like.dtype == np.float32
    assert empty(x, (2,), np.int32).dtype == np.int32
