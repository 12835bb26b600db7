"""New Tensors: their random numbers, their memory, their device, and what cannot be. Values: tests/habits."""

import json
import math

import numpy as np
import pytest
from checks import PYTHON_GPU as GPU
from checks import raises

import minicnn
from minicnn import Tensor, manual_seed, nn, random

MADE = {
    "tensor": lambda **o: minicnn.tensor([1.0, 2.0], **o),
    "zeros": lambda **o: minicnn.zeros(2, 3, **o),
    "ones": lambda **o: minicnn.ones((2, 3), **o),
    "empty": lambda **o: minicnn.empty(2, **o),
    "full": lambda **o: minicnn.full((2,), 3.0, **o),
    "arange": lambda **o: minicnn.arange(3.0, **o),
    "linspace": lambda **o: minicnn.linspace(0, 1, 3, **o),
    "eye": lambda **o: minicnn.eye(3, **o),
    "rand": lambda **o: minicnn.rand(2, 3, **o),
    "randn": lambda **o: minicnn.randn(2, 3, **o),
    **{
        name: lambda name=name, **o: getattr(minicnn, name)(Tensor([1.0]), **o)
        for name in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like")
    },
    "full_like": lambda **o: minicnn.full_like(Tensor([1.0]), 2.0, **o),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_dtype_device_and_gradient(make):
    plain = make()
    assert plain.dtype == np.float32 and plain.device == "cpu" and plain.is_leaf and not plain.requires_grad
    with GPU.active():
        other = make(dtype=minicnn.float64, device="cuda", requires_grad=True)
        assert other.dtype == np.float64 and other.device == "cuda" and other.requires_grad
        with raises(ValueError, "'tpu'", "cpu, cuda"):
            make(device="tpu")
    with raises(TypeError, "complex64", "float32, float64"):
        make(dtype=np.complex64)
    with raises(TypeError, "requires_grad"):
        make(requires_grad=1)


def test_what_is_like_another_is_where_that_is():
    with GPU.active():
        x = Tensor(np.ones((2, 3))).to("cuda")
        for name in ("zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"):
            made = getattr(minicnn, name)(x)
            assert (made.shape, made.dtype, made.device) == ((2, 3), np.float64, "cuda")
        assert minicnn.tensor(x).device == minicnn.as_tensor(x).device == "cuda"
        assert minicnn.tensor(x, device="cpu").device == "cpu"


def test_numbers_are_drawn_from_the_seed_and_its_state_can_be_kept():
    def draw():
        values = minicnn.rand(3), minicnn.randn(2, 2), minicnn.randint(0, 9, (4,)), minicnn.randperm(5)
        return [value.tolist() for value in values]

    manual_seed(3)
    first = draw()
    state = json.loads(json.dumps(random.get_state()))
    second = draw()
    manual_seed(3)
    np.random.seed(0)  # NumPy's own is another
    assert draw() == first and draw() == second != first
    random.set_state(state)
    assert draw() == second
    manual_seed(4)
    assert draw() != first
    manual_seed(3)
    minicnn.randn(2)
    shifted = nn.Linear(2, 2).weight.tolist()
    manual_seed(3)
    assert nn.Linear(2, 2).weight.tolist() != shifted  # one stream: as in PyTorch, what is drawn before counts


def test_whose_memory_it_is():
    array, x = np.zeros(2, np.float32), Tensor([0.0, 0.0])
    copies = [minicnn.tensor(array), minicnn.tensor(x), minicnn.as_tensor(array, dtype=minicnn.float64)]
    shared = [minicnn.from_numpy(array), minicnn.as_tensor(array)]
    array[0] = x.data[0] = 7
    assert [t[0].item() for t in copies] == [0, 0, 0] and [t[0].item() for t in shared] == [7, 7]
    assert minicnn.as_tensor(x) is x and minicnn.as_tensor(x, dtype=minicnn.float64) is not x


@pytest.mark.parametrize(
    "make, error, parts",
    [
        (lambda: minicnn.zeros(2.0), TypeError, ["zeros", "whole number", "2.0"]),
        (lambda: minicnn.zeros(2, -1), ValueError, ["zeros", "at least 0", "-1"]),
        (lambda: minicnn.zeros(), TypeError, ["zeros", "zeros(2, 3)"]),
        (lambda: minicnn.zeros(True), TypeError, ["zeros", "True"]),
        (lambda: minicnn.zeros_like([1.0]), TypeError, ["full_like", "list"]),
        (lambda: minicnn.full((2,), "a"), TypeError, ["full", "fill_value", "str"]),
        (lambda: minicnn.full((2,), 1e3, dtype=np.uint8), ValueError, ["full", "1000.0", "uint8"]),
        (lambda: minicnn.arange(0, 5, 0), ValueError, ["arange", "step"]),
        (lambda: minicnn.arange(float("nan")), ValueError, ["arange", "end"]),
        (lambda: minicnn.linspace(0, 1, -1), ValueError, ["linspace", "steps"]),
        (lambda: minicnn.eye(-1), ValueError, ["eye", "n"]),
        (lambda: minicnn.randn(2, dtype=np.int64), TypeError, ["randn", "int64", "randint"]),
        (lambda: minicnn.randint(5, 5, (2,)), ValueError, ["randint", "low 5", "high 5"]),
        (lambda: minicnn.randperm(2.5), TypeError, ["randperm", "2.5"]),
        (lambda: minicnn.from_numpy([1]), TypeError, ["from_numpy", "list", "minicnn.tensor"]),
        (lambda: minicnn.tensor("text"), TypeError, ["tensor", "numbers", "str"]),
        (lambda: minicnn.tensor(None), TypeError, ["tensor", "NoneType"]),
        (lambda: minicnn.tensor(Tensor([1.0], True)), TypeError, ["tensor", "detach", "stack"]),
        (lambda: minicnn.tensor([1, 2], requires_grad=True), TypeError, ["int64", "gradient"]),
        (lambda: minicnn.zeros(2, dtype="x"), TypeError, ["zeros", "dtype", "'x'"]),
        (lambda: minicnn.arange(2**63), ValueError, ["arange", "9223372036854775808", "int64"]),
        (lambda: minicnn.arange(2**2000), ValueError, ["arange", "finite"]),
        (lambda: minicnn.arange(300, dtype=minicnn.uint8), ValueError, ["arange", "299", "uint8"]),
        (lambda: minicnn.tensor([3, 300], dtype=minicnn.uint8), ValueError, ["tensor", "300", "uint8"]),
        (lambda: minicnn.tensor(-1, dtype=minicnn.uint8), ValueError, ["tensor", "-1", "uint8"]),
        (lambda: minicnn.tensor([1.5, math.nan], dtype=minicnn.int64), ValueError, ["tensor", "nan", "int64"]),
        (lambda: minicnn.as_tensor([1e30], dtype=minicnn.int32), ValueError, ["as_tensor", "1e+30", "int32"]),
        (lambda: minicnn.tensor([[1], [2, 3]]), ValueError, ["different lengths", "each row"]),
        (lambda: Tensor([[1], [2, 3]]), ValueError, ["different lengths", "each row"]),
        (lambda: minicnn.randint(0, 300, (5,), dtype=minicnn.uint8), ValueError, ["randint", "299", "uint8"]),
        (lambda: minicnn.full((2,), 1e300), ValueError, ["full", "1e+300", "float32"]),
        (lambda: minicnn.full((2,), 2**2000, dtype=minicnn.float64), ValueError, ["full", "float64"]),
        (lambda: minicnn.manual_seed(None), TypeError, ["manual_seed", "None"]),
        (lambda: minicnn.manual_seed(-1), ValueError, ["manual_seed", "-1"]),
        (lambda: minicnn.manual_seed(1.5), TypeError, ["manual_seed", "1.5"]),
        (lambda: Tensor([1.0]).to(), TypeError, ["to", "device", "dtype"]),
        (lambda: Tensor([1.0]).to("cpu", "cpu"), TypeError, ["to", "two of a kind"]),
        (lambda: Tensor([1.0]).to(minicnn.float32, dtype=minicnn.float64), TypeError, ["two of a kind"]),
    ],
)
def test_what_cannot_be_says_so(make, error, parts):
    with raises(error, *parts):
        make()


def test_what_fits_is_taken():
    assert minicnn.tensor([1.7, -1.7], dtype=minicnn.int64).tolist() == [1, -1]  # towards 0, as in PyTorch
    assert minicnn.tensor(np.array([300, -1]), dtype=minicnn.uint8).tolist() == [44, 255]  # an array: as NumPy casts
    assert minicnn.arange(256, dtype=minicnn.uint8)[-1].item() == 255 and minicnn.arange(2**62, 2**62 + 1).shape == (1,)
    assert minicnn.full((1,), math.inf).item() == math.inf and math.isnan(minicnn.full((1,), math.nan).item())
    assert minicnn.randint(0, 256, (1000,), dtype=minicnn.uint8).max().item() > 240


def test_whether_there_is_a_gpu(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    assert minicnn.cuda.is_available()
    device = minicnn.device("cuda" if minicnn.cuda.is_available() else "cpu")
    x = minicnn.zeros(2, device=device)
    assert x.device == device == "cuda" and x.device.type == "cuda" and x.device.index == 0 and str(device) == "cuda"
    assert x.cpu().device.index is None
    with raises(ValueError, "'tpu'", "cpu, cuda"):
        minicnn.device("tpu")


def test_there_is_none_without_cupy(monkeypatch):
    import sys

    from minicnn.device import _cupy

    monkeypatch.delenv("MINICNN_EMULATE_GPU", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    _cupy.cache_clear()
    try:
        assert minicnn.cuda.is_available() is False
    finally:
        _cupy.cache_clear()
