"""Device "cuda" over NumPy arrays: where results live, what moves between the devices, and what does not mix."""

import sys

import numpy as np
import pytest
from checks import raises

from minicnn import Tensor
from minicnn.device import DeviceError, array_module, device_of, to_device
from minicnn.emulated import EmulatedArray


@pytest.fixture(autouse=True)
def emulating(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


def on_cuda(*shape):
    return to_device(np.arange(float(np.prod(shape))).reshape(shape), "cuda")


def test_there_and_back_is_a_copy():
    array = np.ones((2, 3))
    there = to_device(array, "cuda")
    back = to_device(there, "cpu")
    array[...], there[...] = 2, 3
    assert (device_of(array), device_of(there), device_of(back)) == ("cpu", "cuda", "cpu")
    assert type(back) is np.ndarray and (back == 1).all() and (array == 2).all()
    assert to_device(there, "cuda") is there and array_module(there) is np


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[1:],
        lambda x: x.T,
        lambda x: x.reshape(-1),
        lambda x: x + 1,
        lambda x: np.float64(2) * x,
        lambda x: -x,
        lambda x: x @ x.T,
        lambda x: np.exp(x),
        lambda x: np.maximum(x, 0),
        lambda x: np.maximum(x, 0, out=x),
        lambda x: np.where(x > 1, x, 0),
        lambda x: np.pad(x, 1),
        lambda x: np.concatenate([x, x]),
        lambda x: np.split(x, 2)[0],
        lambda x: np.zeros_like(x),
        lambda x: x.sum(axis=0),
        lambda x: x.sum(),
        lambda x: x.mean(),
        lambda x: x.max(),
        lambda x: x[0, 0],
        lambda x: x.astype(np.float32),
        lambda x: x.copy(),
    ],
)
def test_results_stay_there(make):
    assert device_of(make(on_cuda(2, 3))) == "cuda"


def test_arrays_of_two_devices_do_not_mix():
    x, host = on_cuda(2, 3), np.ones((2, 3))
    for make in (lambda: x + host, lambda: host * x, lambda: np.add(x, x, out=host), lambda: host @ x.T):
        with raises(TypeError, "'cuda'", "'cpu'", "(2, 3)", "to_device"):
            make()
    for make in (
        lambda: np.concatenate([x, host]),
        lambda: np.where(host > 1, x, x),
        lambda: x.__setitem__(0, host[0]),
    ):
        with raises(TypeError, "'cuda'"):
            make()
    with raises(TypeError, "shape=()", "device.full"):
        np.zeros_like(x, shape=())
    x += x
    assert isinstance(x, EmulatedArray) and x[1, 2] == 10


def test_tensors():
    x = Tensor(np.ones(3), requires_grad=True)
    y = x.to("cuda")
    assert y.device == "cuda" and y.requires_grad
    (y * 2 + 1).sum().backward()
    assert x.grad.device == "cpu" and (x.grad.numpy() == 2).all()
    assert type(y.numpy()) is np.ndarray and type(np.asarray(y)) is np.ndarray
    with raises(DeviceError, "Add", "a: cpu", "b: cuda", ".to("):
        x + y


def test_without_the_variable_the_error_names_it(monkeypatch):
    monkeypatch.delenv("MINICNN_EMULATE_GPU")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with raises(DeviceError, "MINICNN_EMULATE_GPU=1", "CuPy"):
        Tensor([1.0]).to("cuda")
