"""What a kernel's numbers can be besides float and double: bfloat16, structs; and large shared memory."""

import sys
import types
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from checks import needs_compiler, raises

from minicnn.emulated import on_device
from minicnn.kernels.arguments import (
    empty_channels_last,
    is_channels_last,
    nchw_view,
    nhwc_view,
    takes_bfloat16,
)
from minicnn.kernels.cuda import launch, layout, source
from minicnn.kernels.cuda.elementwise import elementwise
from minicnn.kernels.cuda.launch import CudaFile, Kernel, KernelError

pytestmark = [needs_compiler, pytest.mark.emulator]

FILE = Path(__file__).with_name("kernels_of_types.cu")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = [np.dtype("float32"), np.dtype("float64"), BFLOAT16]


@pytest.fixture(scope="module")
def kernels():
    return CudaFile(FILE)


def zeros(*shape, dtype=np.float32):
    return on_device(np.zeros(shape, dtype))


def test_every_kind_of_float_is_rounded_as_ml_dtypes_does(kernels):
    bits = np.random.default_rng(0).integers(0, 2**32, 20000, dtype=np.uint32)  # also NaN, infinite, subnormal
    halves = np.arange(0x3F7F_7000, 0x3F81_9000, 0x800, dtype=np.uint32)  # exactly between two, and at them
    largest = np.uint32([0x7F7F_7FFF, 0x7F7F_8000, 0x7F7F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x8000_0000, 0x7F80_0001])
    x = np.concatenate([bits, halves, largest]).view(np.float32)
    y, back = zeros(len(x), dtype=BFLOAT16), zeros(len(x))
    kernels.narrow[1, 256](on_device(x), y, back, len(x))
    with np.errstate(invalid="ignore"):
        expected = x.astype(BFLOAT16)
    is_nan = np.isnan(x)
    assert is_nan.any() and np.isnan(np.asarray(back)[is_nan]).all()
    assert (np.asarray(y).view(np.uint16) == expected.view(np.uint16))[~is_nan].all()
    assert (np.asarray(back) == expected.astype(np.float32))[~is_nan].all()


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_wide_numbers_and_vectors(kernels, dtype):
    wide = np.dtype("float32") if dtype == BFLOAT16 else dtype
    assert [p.dtype(dtype) for p in kernels.narrow.parameters] == [wide, dtype, wide, np.int32]
    x = on_device(np.random.default_rng(1).standard_normal(4 * 48).astype(dtype))
    y, unaligned = zeros(len(x), dtype=dtype), zeros(1, dtype=bool)
    kernels.scale_vectors[1, 8](x, y, 0.3, unaligned, len(x))
    assert not unaligned[0] and (y == (x.astype(wide) * wide.type(0.3)).astype(dtype)).all()
    kernels.scale_vectors[1, 8](x[1:-1], y, 0.3, unaligned, len(x) - 16)
    assert unaligned[0]


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 10, 224, 641, 65535, 2**16 + 1, 2**30 - 1, 2**30 + 1, 2**31 - 1])
def test_division_by_multiplication(kernels, divisor):
    rng = np.random.default_rng(divisor)
    n = np.concatenate([rng.integers(0, 2**31, 2000), np.arange(50), 2**31 - 1 - np.arange(50)])
    multiples = rng.integers(1, (2**31 - 1) // divisor + 1, 200) * divisor  # where an error shows first
    n = np.concatenate([n, multiples, multiples - 1]).astype(np.int32)
    quotient, rest = zeros(len(n), dtype=np.int32), zeros(len(n), dtype=np.int32)
    kernels.divide[1, 32](zeros(1), on_device(n), quotient, rest, divisor, len(n))
    assert (quotient == on_device(n // divisor)).all() and (rest == on_device(n % divisor)).all()


def test_the_multiplier_never_outgrows_its_bits():
    for number in [*range(1, 3000), *(2**k + d for k in range(12, 31) for d in (-1, 0, 1)), 2**31 - 1]:
        multiplier, shift, _ = source.divisor(number).item()
        product = multiplier * number - 2 ** (31 + shift)  # e of divide.cuh
        assert 0 <= product < number <= 2**shift and multiplier < 2**32


def test_structs_that_are_refused(kernels, tmp_path, monkeypatch):
    n, y = zeros(1, dtype=np.int32), zeros(1, dtype=np.int32)
    for wrong, error, part in ((0, ValueError, "1 to 2147483647"), (-3, ValueError, "-3"), (2.5, TypeError, "2.5")):
        with raises(error, "divide (kernels_of_types.cu)", "Divisor divisor", part):
            kernels.divide[1, 1](zeros(1), n, y, y, wrong, 1)
    path = tmp_path / "structs.cu"
    path.write_text(
        "struct alignas(64) Map { unsigned char bytes[128]; };\ntemplate <typename T>\n"
        "__global__ void of_map(T *y, const __grid_constant__ Map map) { y[0] = map.bytes[127]; }\n"
    )
    with raises(KernelError, "of_map (structs.cu)", "Map map", "Divisor"):
        Kernel(path, "of_map")
    source.kernels.cache_clear()
    monkeypatch.setitem(source.STRUCTS, "Map", np.dtype("V128"))
    kernel, y = Kernel(path, "of_map"), zeros(1)
    kernel[1, 1](y, np.void(bytes(range(128))))
    assert y[0] == 127
    for wrong in (bytes(128), np.void(bytes(64))):
        with raises(TypeError, "of_map", "Map map", "V128"):
            kernel[1, 1](y, wrong)


def test_types_that_a_file_cannot_have(tmp_path):
    for line in ("// T: float, tf32", "// T: float, half"):
        path = tmp_path / f"{len(line)}.cu"
        path.write_text(f"{line}\ntemplate <typename T> __global__ void f(T *y) {{}}\n")
        with raises(KernelError, path.name, line, "bfloat16", "one a dtype"):
            Kernel(path, "f")


def test_what_is_included_twice_is_there_once():
    text = source.text(FILE.parents[3] / "kernels" / "cuda" / "tensor_cores.cu")
    assert text.count("struct bfloat16 {") == 1
    assert source.text(FILE).count("#line 1") == 2


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_all_the_shared_memory_that_there_is(kernels, dtype):
    size = (227 * 1024 - dtype.itemsize) // dtype.itemsize
    x, y = on_device(np.arange(size).astype(dtype)), zeros(size, dtype=dtype)
    kernels.through_shared[1, 256](x, y, size, shared=size * dtype.itemsize)
    assert (y == x[::-1]).all()
    with raises(KernelError, "through_shared", "one", "227" if dtype == "V" else "232", "the most"):
        kernels.through_shared[1, 256](x, y, size, shared=227 * 1024)
    with raises(ValueError, "through_shared", "232449 bytes", "232448"):
        kernels.through_shared[1, 256](x, y, size, shared=227 * 1024 + 1)


def test_a_gpu_is_asked_for_more_than_the_usual_shared_memory(monkeypatch, kernels):
    """With a stand-in for CuPy: the kernel is told before it is launched, and a GPU with less refuses by name."""

    class Array:
        dtype, shape, strides, flags = np.dtype(np.float32), (4,), (4,), np.ones(4).flags

    class Compiled:
        shared_size_bytes, allowed = 16, []  # static, of the kernel; what it is told and launched with

        def __setattr__(self, name, value):
            assert name == "max_dynamic_shared_size_bytes"
            self.allowed.append(value)

        def __call__(self, grid, block, arguments, shared_mem):
            self.allowed.append((shared_mem,))

    cupy = types.ModuleType("cupy")
    attributes = {"MaxSharedMemoryPerBlockOptin": 64 << 10}
    device, runtime = types.SimpleNamespace(attributes=attributes), types.SimpleNamespace(getDevice=lambda: 0)
    cupy.cuda = types.SimpleNamespace(Device=lambda number: device, runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    compiled = Compiled()
    monkeypatch.setattr(launch, "_gpu_kernel", lambda *asked: compiled)
    monkeypatch.setattr("minicnn.kernels.arguments.device_of", lambda array: "cuda")
    for shared in (48 << 10, 60 << 10, 50 << 10):
        kernels.through_shared[1, 4](Array(), Array(), 4, shared=shared)
    assert Compiled.allowed == [(49152,), 65520, (61440,), (51200,)]
    with raises(KernelError, "through_shared", "65536 bytes", "65520", "this GPU"):
        kernels.through_shared[1, 4](Array(), Array(), 4, shared=64 << 10)


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 40, 9, 8), (3, 1, 2, 2), (2, 70, 1, 1), (0, 3, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_channels_last(dtype, shape):
    x = on_device(np.random.default_rng(2).standard_normal(shape).astype(dtype))
    for given in (x, on_device(np.asfortranarray(x))):
        y = layout.channels_last(given)
        assert y.shape == shape and y.dtype == dtype and type(y) is type(x) and (y == x).all()
        assert is_channels_last(y) or not y.size
        assert layout.channels_last(y) is y
    like = empty_channels_last(x, shape)
    assert is_channels_last(like) and like.dtype == dtype and type(like) is type(x)
    assert nhwc_view(like).flags.c_contiguous and nchw_view(nhwc_view(like)).strides == like.strides
    assert nhwc_view(None) is None


def test_other_axes_are_in_c_order():
    x = on_device(np.ones((4, 6), np.float32).T)
    assert layout.channels_last(x).flags.c_contiguous and empty_channels_last(x, (3, 2), np.int32).flags.c_contiguous
    assert not is_channels_last(x)


def test_element_wise_kernels_keep_the_layout():
    """Through the kernel of ReLU: channels-last in, channels-last out, in whatever order the other arrays are."""
    relu = CudaFile("activation.cu").relu_forward
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 5)).astype(np.float32)
    last = layout.channels_last(on_device(x))
    y = elementwise(relu, last)
    assert is_channels_last(y) and (np.asarray(y) == np.maximum(x, 0)).all()
    for out in (empty_channels_last(last, last.shape), zeros(*x.shape)):
        y = elementwise(relu, last, out=out)
        assert y is out or np.shares_memory(y, out)
        assert (np.asarray(out) == np.maximum(x, 0)).all()


def test_the_mark_of_functions_that_take_bfloat16():
    @takes_bfloat16
    def marked():
        pass

    assert marked.takes_bfloat16 and not getattr(test_channels_last, "takes_bfloat16", False)
