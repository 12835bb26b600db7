"""Arrays on a GPU given where a Tensor is meant: they work as NumPy's do, or an error says what to do.

CuPy's with ``pytest --gpu``, emulated ones otherwise.
"""

import sys

import numpy as np
import pytest
from checks import Place, check_close, raises
from real_gpu import there

import minicnn
from minicnn import Tensor, gradcheck, nn, optim
from minicnn.device import DeviceError, device_of, plain_array

pytestmark = [pytest.mark.gpu, pytest.mark.needs_compiler]
VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(autouse=True)
def on_gpu():
    with Place("cuda", "fast").active():
        yield


def tensor(requires_grad=False):
    return Tensor(there(np.full((2, 3), 2, np.float32)), requires_grad)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda a: Tensor(a), VALUES),
        (lambda a: minicnn.tensor(a), VALUES),
        (lambda a: minicnn.as_tensor(a), VALUES),
        (lambda a: nn.Parameter(a), VALUES),
        (lambda a: tensor() + a, 2 + VALUES),
        (lambda a: a - tensor(), VALUES - 2),
        (lambda a: a * tensor(), 2 * VALUES),
        (lambda a: tensor() / (a + 1), 2 / (VALUES + 1)),
        (lambda a: a > tensor(), VALUES > 2),
        (lambda a: minicnn.maximum(tensor(), a), np.maximum(2, VALUES)),
        (lambda a: minicnn.where(a > 2, tensor(), 0.0), np.where(VALUES > 2, 2, 0).astype(np.float32)),
        (lambda a: tensor()[a > 2], np.full(3, 2, np.float32)),
        (lambda a: Tensor(a)[there(np.array([1, 0]))], VALUES[[1, 0]]),
        (lambda a: tensor().add_(a), 2 + VALUES),
        (lambda a: tensor().copy_(a), VALUES),
    ],
)
def test_it_is_a_tensors_array_or_a_constant(make, expected):
    found = make(there(VALUES))
    assert found.device == "cuda" and found.dtype == expected.dtype
    check_close(found.numpy(), expected, 1e-6)


def test_an_upstream_gradient():
    x = tensor(requires_grad=True)
    (x * 3).backward(there(VALUES))
    assert x.grad.device == "cuda" and (x.grad.numpy() == 3 * VALUES).all()
    here = Tensor(VALUES, requires_grad=True)
    with raises(ValueError, "backward()", "'cuda'", "'cpu'"):
        (here * 3).backward(there(VALUES))


def test_weights_and_what_an_optimiser_keeps():
    model = nn.Linear(3, 2).to("cuda")
    model.load_state_dict({"weight": there(VALUES), "bias": there(np.ones(2))})
    assert (model.weight.numpy() == VALUES).all() and model.weight.device == "cuda"
    optimizer = optim.SGD(model.parameters(), lr=1.0, momentum=0.5)
    velocities = [there(np.ones((2, 3), np.float32)), there(np.ones(2, np.float32))]
    optimizer.load_state_dict({**optimizer.state_dict(), "velocities": velocities})
    for p in model.parameters():
        p.grad = Tensor(there(np.zeros(p.shape, np.float32)))
    optimizer.step()
    assert (model.weight.numpy() == VALUES - 0.5).all() and (model.bias.numpy() == 0.5).all()


def test_assignment_and_membership():
    x = tensor()
    x[0] = there(VALUES[1])
    assert x.tolist() == [[3, 4, 5], [2, 2, 2]] and there(np.float32([4])) in x and there(np.float32([9])) not in x
    x.data = there(VALUES)
    assert x.device == "cuda" and x.tolist() == VALUES.tolist()


def test_gradcheck():
    assert gradcheck(lambda x: x * x, there(VALUES.astype(np.float64)))


def test_what_cannot_be_meant_is_told():
    a = there(VALUES)
    with raises(TypeError, "list of arrays on the GPU", "cupy.stack"):
        Tensor([a, a])
    with raises(TypeError, "list of arrays on the GPU", "cupy.stack"):
        minicnn.maximum(tensor(), [a, [a]])
    with raises(TypeError, "linear", "weight", "wrap it in minicnn.Tensor"):
        minicnn.functional.linear(tensor(), a)
    with raises(DeviceError, "Add", "a: cpu", "b: cuda", ".to("):
        Tensor(VALUES) + a
    with raises(TypeError, ".grad", "Tensor(...)"):
        tensor(requires_grad=True).grad = a


@pytest.mark.emulator
def test_another_librarys_array_on_the_gpu_needs_cupy(monkeypatch):
    """As PyTorch's: it has the protocol by which CuPy takes it over."""

    class Foreign:
        __cuda_array_interface__ = {"shape": (3,), "typestr": "<f4", "data": (0, True), "version": 3}  # noqa: RUF012

    cupy = type("Cupy", (), {"asarray": staticmethod(lambda array: there(np.arange(3.0)))})
    monkeypatch.setattr(sys.modules[plain_array.__module__], "_cupy", lambda: cupy)
    assert device_of(plain_array(Foreign())) == "cuda" and (tensor()[0].double() + Foreign()).tolist() == [2, 3, 4]
