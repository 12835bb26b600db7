"""Tensor: what it holds, how it converts and compares, and what it will not do silently."""

import numpy as np
import pytest
from checks import check_close, leaf, raises

from minicnn import Tensor


def test_python_floats_become_float32_and_arrays_keep_their_dtype():
    assert Tensor([1.0, 2]).dtype == np.float32
    assert Tensor(3.5).dtype == np.float32
    assert Tensor([1, 2]).dtype == np.int64
    assert Tensor([True]).dtype == bool
    assert Tensor(np.array([1.0])).dtype == np.float64
    assert Tensor(np.float64(1)).dtype == np.float64


def test_an_array_is_shared_not_copied():
    array = np.zeros(3)
    x = Tensor(array)
    array[0] = 5
    assert x.data is array and x.numpy() is array and x[0].item() == 5


def test_what_it_tells_about_itself():
    x = Tensor(np.zeros((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, x.device, len(x)) == ((2, 3), 2, 6, np.float32, "cpu", 2)


def test_conversion_to_numpy_and_python():
    x = Tensor(np.array([[2.5]]))
    assert x.item() == float(x) == 2.5 and bool(x)
    copy = np.array(x)
    copy[...] = 0
    assert x.item() == 2.5 and np.asarray(x).dtype == np.float64
    assert np.asarray(x, dtype=np.float32).dtype == np.float32


def test_numpy_functions_on_tensors_are_an_error_not_a_silent_array():
    with pytest.raises(TypeError):
        np.exp(Tensor([1.0]))


def test_comparisons_are_boolean_tensors_outside_the_graph():
    x = Tensor(np.array([1.0, 2, 3]), requires_grad=True)
    expected = {"__lt__": [1, 0, 0], "__le__": [1, 1, 0], "__gt__": [0, 0, 1], "__ge__": [0, 1, 1]}
    expected |= {"__eq__": [0, 1, 0], "__ne__": [1, 0, 1]}
    for name, values in expected.items():
        for other in (2, np.array([2.0, 2, 2]), Tensor([2.0, 2, 2])):
            result = getattr(x, name)(other)
            assert result.numpy().tolist() == list(map(bool, values)) and not result.requires_grad
    assert len({x, x}) == 1


def test_argmax():
    x = Tensor(np.array([[1.0, 5, 5], [7, 0, 1]]))
    assert x.argmax().item() == 3 and x.argmax(dim=1).numpy().tolist() == [1, 0]


def test_detach_shares_memory_and_leaves_the_graph():
    x = Tensor(np.ones(2), requires_grad=True)
    y = (x * 2).detach()
    assert not y.requires_grad and y.node is None
    x.detach()[0] = 7
    assert x.numpy().tolist() == [7, 1]


def test_assignment():
    x = Tensor(np.zeros((2, 2)))
    x[0] = Tensor(np.array([1.0, 2]))
    x[:, 1] = 9
    check_close(x.numpy(), np.array([[1.0, 9], [0, 9]]), 0)
    with pytest.raises(RuntimeError, match="detach"):
        Tensor(np.zeros(2), requires_grad=True)[0] = 1


def test_repr():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    assert repr(x) == "Tensor([1., 1.], dtype=float32, requires_grad=True)"
    assert repr(x + 1) == "Tensor([2., 2.], dtype=float32, node=Add)"
    assert len(repr(Tensor(np.zeros((100, 100))))) < 500


def test_requires_grad_is_for_floats_and_for_leaves():
    assert Tensor([1.0]).requires_grad_().requires_grad
    with raises(TypeError, "int64", "only floats can"):
        Tensor([1, 2], requires_grad=True)
    y = Tensor([1.0], requires_grad=True) * 2
    with raises(RuntimeError, "detach"):
        y.requires_grad_(False)


@pytest.mark.parametrize("data", [np.zeros(2, np.float16), np.zeros(2, complex), "text"])
def test_other_dtypes_are_refused(data):
    with raises(TypeError, "float32, float64, bfloat16, integers or booleans", np.asarray(data).dtype):
        Tensor(data)


def test_a_tensor_of_a_tensor_is_refused():
    with raises(TypeError, "detach"):
        Tensor(Tensor([1.0]))


def test_truth_and_length_need_one_value_and_an_axis():
    with raises(ValueError, "(2,)", "true nor false"):
        bool(Tensor([1.0, 2]))
    with raises(TypeError, "length"):
        len(Tensor(1.0))


def test_gradients_are_tensors():
    x = Tensor(np.ones(2), requires_grad=True)
    (x * 3).sum().backward()
    assert isinstance(x.grad, Tensor) and x.grad.shape == (2,)


def test_to_the_device_it_is_on_is_itself():
    x = Tensor(np.ones(2), requires_grad=True)
    assert x.to("cpu") is x


@pytest.mark.parametrize(
    "make, value, error, parts",
    [
        (lambda: leaf(1.0), "no", TypeError, ["requires_grad", "'no'"]),
        (lambda: leaf(1.0), None, TypeError, ["requires_grad", "None"]),
        (lambda: Tensor([1, 2]), True, TypeError, ["int64"]),
        (lambda: leaf(1.0) * 2, False, RuntimeError, ["detach"]),
    ],
    ids=["text", "None", "integers", "a result"],
)
def test_requires_grad_is_looked_at_when_it_is_set(make, value, error, parts):
    for set_it in (lambda t: setattr(t, "requires_grad", value), lambda t: t.requires_grad_(value)):
        tensor = make()
        before = tensor.requires_grad
        with raises(error, *parts):
            set_it(tensor)
        assert tensor.requires_grad is before
    x = leaf(1.0)
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_a_gradient_can_be_deleted():
    x = leaf(1.0)
    (x * 2).backward()
    del x.grad
    assert x.grad is None
