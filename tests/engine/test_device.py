"""The dispatch: names find mirrors, tiers come and go, and what is missing says so."""

import importlib
import subprocess
import sys
import types

import numpy as np
import pytest
from checks import raises

import minicnn.functional as F
from minicnn import Tensor, set_tier, tier
from minicnn.autograd import Function
from minicnn.device import MIRRORS, DeviceError, OutOfMemoryError, _cupy, current_tier, implementation, share_memory
from minicnn.ops.conv import conv2d_forward

NAME = "minicnn.kernels.cpu.conv"


@pytest.fixture
def fresh_dispatch(monkeypatch):
    """Forgets which implementations were found, before and after; a tier "fast" without a file of convolutions."""
    importlib.import_module("minicnn.kernels.cpu.linear")  # which imports that file, while it is there
    implementation.cache_clear()
    monkeypatch.setitem(sys.modules, NAME, None)
    yield monkeypatch
    implementation.cache_clear()


@pytest.mark.parametrize("quarter, folder", MIRRORS.items())
def test_an_op_that_nobody_has_written_there_says_what_else_there_is(quarter, folder, monkeypatch):
    def softplus_forward(x):
        return x

    softplus_forward.__module__ = "minicnn.ops.activation"
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    other = {"plain": "fast", "fast": "plain"}[quarter[1]]
    with raises(DeviceError, "softplus_forward", f"kernels/{folder}/activation.py", f"choose tier '{other}'", "README"):
        implementation(softplus_forward, *quarter)


def ones(*shapes):
    return [Tensor(np.ones(s)) for s in shapes]


def test_the_plain_tier_of_the_processor_is_the_page_itself():
    assert implementation(conv2d_forward, "cpu", "plain") is conv2d_forward


def test_a_mirror_is_found_by_its_name(fresh_dispatch):
    mirror = types.ModuleType(NAME)
    mirror.conv2d_forward = lambda x, weight, bias, *geometry: np.full((1, 1), 42.0)
    fresh_dispatch.setitem(sys.modules, NAME, mirror)
    with tier("fast"):
        assert F.conv2d(*ones((1, 1, 2, 2), (1, 1, 2, 2))).item() == 42
    with tier("plain"):
        assert F.conv2d(*ones((1, 1, 2, 2), (1, 1, 2, 2))).item() == 4


def test_backward_runs_on_the_tier_of_the_forward_pass(fresh_dispatch):
    mirror = types.ModuleType(NAME)
    mirror.conv2d_forward = conv2d_forward
    mirror.conv2d_grad_x = lambda grad_out, x_shape, *rest: np.full(x_shape, 42.0)
    fresh_dispatch.setitem(sys.modules, NAME, mirror)
    x, weight = Tensor(np.ones((1, 1, 2, 2)), requires_grad=True), Tensor(np.ones((1, 1, 2, 2)))
    with tier("fast"):
        y = F.conv2d(x, weight)
    with tier("plain"):
        y.backward(np.ones(y.shape))
    assert (x.grad.numpy() == 42).all()


@pytest.mark.parametrize("mirror", [None, types.ModuleType(NAME)], ids=["no file", "no function"])
def test_a_missing_mirror_names_op_device_and_tier(fresh_dispatch, mirror):
    fresh_dispatch.setitem(sys.modules, NAME, mirror)  # None: as if there were no such file
    with tier("fast"), raises(DeviceError, "conv2d_forward", "'cpu'", "'fast'", "kernels/cpu/conv.py", "'plain'"):
        F.conv2d(*ones((1, 1, 2, 2), (1, 1, 2, 2)))


def test_a_library_that_a_kernel_lacks_is_not_a_missing_mirror(fresh_dispatch):
    def import_module(name):
        raise ModuleNotFoundError("No module named 'numba'", name="numba")

    fresh_dispatch.setattr("importlib.import_module", import_module)
    with tier("fast"), pytest.raises(ModuleNotFoundError, match="numba"):
        F.conv2d(*ones((1, 1, 2, 2), (1, 1, 2, 2)))


def test_the_tier_is_restored():
    before = current_tier()
    other = "fast" if before == "plain" else "plain"
    with pytest.raises(KeyError), tier(other):
        assert current_tier() == other
        raise KeyError
    assert current_tier() == before
    set_tier(other)
    assert current_tier() == other
    set_tier(before)


def test_unknown_names():
    with raises(ValueError, "set_tier", "'quick'", "plain", "fast"):
        set_tier("quick")
    with raises(ValueError, "'tpu'", "cpu", "cuda"):
        Tensor([1.0]).to("tpu")


def test_a_machine_without_a_gpu_gives_the_reason_and_the_ways_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    _cupy.cache_clear()
    try:
        with raises(DeviceError, "'cuda'", "CuPy", "cpu", "cuda12", "cuda13"):
            Tensor([1.0]).to("cuda")
    finally:
        _cupy.cache_clear()


@pytest.mark.parametrize("code", ["cudaErrorNoDevice", "cudaErrorInsufficientDriver"])
def test_cupy_without_a_gpu_or_with_too_old_a_driver(monkeypatch, code):
    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        raise CUDARuntimeError(f"{code}: no")

    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.2.0"
    runtime = types.SimpleNamespace(CUDARuntimeError=CUDARuntimeError, getDeviceCount=count)
    cupy.cuda = types.SimpleNamespace(runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    _cupy.cache_clear()
    try:
        with raises(DeviceError, "'cuda'", "driver", "14.2.0", code, "cpu"):
            Tensor([1.0]).to("cuda")
    finally:
        _cupy.cache_clear()


def test_out_of_memory_names_the_op_and_the_bytes_and_leaves_the_rest_usable():
    class Greedy(Function):
        def forward(self, x):
            return x.copy()

        def backward(self, grad_out):
            return np.empty((2**25, 2**20))

    huge = Tensor(np.broadcast_to(np.float32(1), (2**25, 2**20)))  # one number, seen 2**45 times
    x = Tensor([1.0, 2.0], requires_grad=True)
    for compute, op in (
        (huge.exp, "Exp"),
        (lambda: huge + 1, "Add"),
        (Greedy.apply(x).sum().backward, "Greedy.backward"),
    ):
        with raises(OutOfMemoryError, op, "TiB", "smaller batch"):
            compute()
    (x * 3).sum().backward()
    assert (x.grad.numpy() == 3).all()


def test_importing_minicnn_imports_no_gpu_library():
    program = "import sys, minicnn; sys.exit(any(name.partition('.')[0] in ('cupy', 'numba') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class OnGpu:
    """As far as ``share_memory`` looks at an array of CuPy's: what the pool has handed out for it."""

    __cuda_array_interface__ = property(lambda self: {})

    def __init__(self, ptr, size):
        self.data = types.SimpleNamespace(mem=types.SimpleNamespace(ptr=ptr, size=size))


def test_arrays_whose_memory_a_pool_has_handed_out_apart_are_told_apart_at_once(monkeypatch):
    """Only where it is the same, or overlaps, CuPy has to look into the arrays."""
    asked = []
    cupy = types.SimpleNamespace(may_share_memory=lambda a, b: (asked.append((a, b)), True)[1])
    monkeypatch.setattr(sys.modules["minicnn.device"], "_cupy", lambda: cupy)
    first, second, part = OnGpu(0, 100), OnGpu(100, 50), OnGpu(99, 1)
    assert not share_memory(first, second) and not share_memory(second, first) and not asked
    assert share_memory(first, part) and share_memory(part, first) and len(asked) == 2
    assert not share_memory(first, np.ones(3)) and share_memory(first, first) and len(asked) == 2
