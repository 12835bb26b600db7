"""DLPack both ways: the same memory, for as long as somebody holds it, and no gradient of values that others wrote."""

import gc
import types

import numpy as np
import pytest
from checks import raises

import minicnn
from minicnn import Tensor, dlpack, nn
from minicnn.device import DeviceError, to_device


@pytest.fixture(scope="module")
def jax():
    return pytest.importorskip("jax", reason="JAX, with which arrays are shared here, is not installed")


def aligned(*shape, dtype=np.float32):
    """An array that begins at a multiple of 64 bytes, as JAX wants it: it copies all others."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    array = memory[start : start + size].view(dtype).reshape(shape)
    array[...] = np.arange(array.size).reshape(shape)
    return array


def channels_last(array):
    return array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


# The same memory


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_numpy(dtype):
    x = Tensor(aligned(2, 3, dtype=dtype))
    there = np.from_dlpack(x)
    says_what_is_writeable = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # what 2.0 borrows can only be read
    assert there.ctypes.data == x.data.ctypes.data and there.dtype == x.dtype
    assert there.flags.writeable == says_what_is_writeable
    back = minicnn.from_dlpack(there if says_what_is_writeable else x.data)  # nor does 2.0 lend what can only be read
    assert back.data.ctypes.data == x.data.ctypes.data and back.dtype == x.dtype
    if says_what_is_writeable:
        back[0, 0] = 1
        assert x[0, 0].item() == 1


@pytest.mark.parametrize("arrange", [np.copy, channels_last, lambda a: a[:, 1:, ::2]])
def test_pytorch(torch, arrange):
    array = arrange(np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4))
    x = Tensor(array)
    theirs = torch.from_dlpack(x)
    assert theirs.data_ptr() == array.ctypes.data
    assert theirs.stride() == tuple(stride // 4 for stride in array.strides)
    for made in (minicnn.from_dlpack, Tensor, minicnn.as_tensor):
        back = made(theirs)
        assert back.data.ctypes.data == array.ctypes.data and back.data.strides == array.strides
        assert (back.numpy() == array).all()


def test_jax(jax):
    array = aligned(4, 16)
    theirs = jax.numpy.from_dlpack(Tensor(array))
    assert theirs.unsafe_buffer_pointer() == array.ctypes.data
    for made in (minicnn.from_dlpack, Tensor):
        x = made(jax.numpy.arange(64.0).reshape(4, 16))
        assert (x.numpy().ravel() == np.arange(64)).all()
    own = jax.numpy.arange(64.0)
    assert minicnn.from_dlpack(own).data.ctypes.data == own.unsafe_buffer_pointer()


def test_jax_arrays_can_only_be_read(jax, torch):
    x = minicnn.from_dlpack(jax.numpy.arange(6.0))
    with raises(ValueError, "read-only", ".clone()"):
        x += 1
    with raises(ValueError, "read-only"):
        x[0] = 5
    theirs = torch.from_dlpack(x)  # which would write into it: a copy
    theirs.fill_(9)
    assert (x.numpy() == np.arange(6)).all()
    assert Tensor(jax.numpy.ones(2, jax.numpy.bfloat16)).dtype == minicnn.bfloat16  # by NumPy's protocol, which has it


# As long as somebody holds it


def test_memory_outlives_its_owner(torch):
    x = minicnn.from_dlpack(torch.arange(100_000, dtype=torch.float32))
    gc.collect()
    others = [torch.full((100_000,), -1.0) for _ in range(4)]  # into the same place, if it were free
    assert (x.numpy() == np.arange(100_000)).all() and len(others) == 4
    theirs = torch.from_dlpack(Tensor(np.arange(100_000, dtype=np.float32)))
    del x, others
    gc.collect()
    others = [np.full(100_000, -1, np.float32) for _ in range(4)]
    assert (theirs.numpy() == np.arange(100_000)).all() and len(others) == 4


# What others write


def product(x):
    """sum(x * w): the gradient for w is x."""
    w = Tensor(np.ones(x.shape, x.dtype), requires_grad=True)
    return w, (x * w).sum()


@pytest.mark.parametrize("made", [minicnn.from_dlpack, Tensor, lambda t: minicnn.from_dlpack(t)[:]])
def test_writes_into_borrowed_memory_do_not_change_a_gradient(torch, made):
    theirs = torch.full((3,), 2.0)
    w, y = product(made(theirs))
    theirs.fill_(10.0)
    y.backward()
    assert w.grad.tolist() == [2.0] * 3


def test_an_operand_of_another_library(torch):
    theirs = torch.full((3,), 2.0)
    w = Tensor(np.ones(3, np.float32), requires_grad=True)
    y = (w * theirs).sum()
    theirs.fill_(10.0)
    y.backward()
    assert w.grad.tolist() == [2.0] * 3


def test_writes_into_lent_memory_do_not_change_a_gradient(torch):
    x = Tensor(np.full(3, 2, np.float32))
    theirs = torch.from_dlpack(x)
    w, y = product(x)
    theirs.fill_(10.0)
    y.backward()
    assert w.grad.tolist() == [2.0] * 3
    assert x.tolist() == [10.0] * 3


def test_what_was_lent_after_the_forward_pass_is_refused(torch):
    x = Tensor(np.full(3, 2, np.float32))
    w, y = product(x)
    torch.from_dlpack(x.detach()).fill_(10.0)  # gone again, and the damage done
    with raises(RuntimeError, "Mul: ", "(3,)", "lent to another library (__dlpack__)", ".clone()"):
        y.backward()
    hidden = nn.functional.relu(w + 1)  # which keeps its result
    torch.from_dlpack(hidden.detach())
    with raises(RuntimeError, "ReLU: ", "lent to another library"):
        hidden.sum().backward()
    hidden = nn.functional.relu(w + 1)
    torch.from_dlpack(hidden.detach().clone())
    hidden.sum().backward()
    assert w.grad.tolist() == [1.0] * 3


def test_a_graph_copies_only_while_it_is_lent(torch):
    x = Tensor(np.full(3, 2, np.float32))
    theirs = torch.from_dlpack(x)
    saved = [product(x)[1]]
    del theirs
    saved.append(product(x)[1])
    mul = [edge.node for y in saved for edge in y.node.inputs]
    assert [np.may_share_memory(node.saved[0], x.data) for node in mul] == [False, True]


def test_a_copy_keeps_its_order_in_memory(torch):
    theirs = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)
    _, y = product(minicnn.from_dlpack(theirs))
    (node,) = [edge.node for edge in y.node.inputs]
    assert node.saved[0].strides == channels_last(np.ones((2, 3, 4, 4), np.float32)).strides


# What is refused


def test_gradients_are_refused(torch):
    with raises(BufferError, "requires a gradient", "x.detach()"):
        torch.from_dlpack(Tensor([1.0], requires_grad=True))
    with raises(BufferError, "require gradient", "detach()"):  # PyTorch's words
        minicnn.from_dlpack(torch.ones(2, requires_grad=True))
    with raises(RuntimeError, "requires grad", "detach()"):
        Tensor(torch.ones(2, requires_grad=True))


def test_dtypes_that_cannot_be_shared(torch):
    with raises(BufferError, "bfloat16", "x.float()"):
        np.from_dlpack(Tensor([1.0]).bfloat16())
    with raises(BufferError, "torch.Tensor of torch.bfloat16", "convert it there"):
        minicnn.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
    with raises(TypeError, "torch.Tensor of torch.bfloat16", "convert it there"):
        Tensor(torch.ones(2, dtype=torch.bfloat16))
    with raises(TypeError, "float16", "convert it first"):
        minicnn.from_dlpack(np.ones(2, np.float16))


def test_memory_that_can_only_be_read_is_copied(torch):
    layer = minicnn.seal(nn.Linear(2, 2))
    weight, before = layer.weight.detach(), layer.weight.numpy().copy()
    torch.from_dlpack(weight).fill_(7.0)
    assert (layer.weight.numpy() == before).all()
    with raises(BufferError, "only be read"):
        weight.__dlpack__(copy=False)
    x = Tensor(np.ones(2, np.float32))
    assert np.from_dlpack(types.SimpleNamespace(
        __dlpack__=lambda **_: x.__dlpack__(copy=True), __dlpack_device__=x.__dlpack_device__
    )).ctypes.data != x.data.ctypes.data  # fmt: skip


def test_other_devices(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    emulated = to_device(np.ones(2, np.float32), "cuda")
    for value in (emulated, Tensor(emulated)):
        with raises(BufferError, "emulated GPU", "x.to('cpu')"):
            minicnn.from_dlpack(value)
        with raises(BufferError, "emulated GPU"):
            value.__dlpack__()
        with raises(BufferError, "emulated GPU"):
            np.from_dlpack(value)
    gpu = types.SimpleNamespace(__dlpack__=lambda **_: None, __dlpack_device__=lambda: (2, 0))
    with raises(DeviceError, "emulated", "real GPU"):
        minicnn.from_dlpack(gpu)
    metal = types.SimpleNamespace(__dlpack__=lambda **_: None, __dlpack_device__=lambda: (8, 0))
    with raises(BufferError, "DLPack's device 8"):
        minicnn.from_dlpack(metal)
    with raises(BufferError, "on device (1, 0), not (2, 0)"):
        Tensor([1.0]).__dlpack__(dl_device=(2, 0))
    for value in ([1.0], 3, "text"):
        with raises(TypeError, "from_dlpack: a ", "minicnn.tensor"):
            minicnn.from_dlpack(value)


def test_an_array_on_a_gpu_is_borrowed_by_cupy(monkeypatch):
    monkeypatch.delenv("MINICNN_EMULATE_GPU", raising=False)
    monkeypatch.setattr(dlpack, "_cupy", lambda: types.SimpleNamespace(from_dlpack=lambda value: ("CuPy's", value)))
    gpu = types.SimpleNamespace(__dlpack__=lambda **_: None, __dlpack_device__=lambda: (2, 0))
    assert dlpack.borrow(gpu) == ("CuPy's", gpu)


def test_an_array_library_without_versions():
    """NumPy 2.0's __dlpack__ takes a stream alone."""
    asked = []
    old = types.SimpleNamespace(__dlpack__=lambda stream=None: asked.append(stream) or "capsule")
    assert dlpack._capsule(old, None, (1, 0)) == "capsule" and asked == [None]
