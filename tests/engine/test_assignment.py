"""Assigning to entries of a Tensor, ``x[index] = value``, and writing into memory that is read-only."""

import numpy as np
import pytest
from checks import leaf, raises

import minicnn.functional as F
from minicnn import Tensor, no_grad
from minicnn.device import DeviceError


@pytest.mark.parametrize(
    "index, value, error, parts",
    [
        (0, None, TypeError, ["value", "NoneType"]),
        (0, "3", TypeError, ["value", "<U1"]),
        (0, 1j, TypeError, ["value", "complex"]),
        (slice(None), {1, 2}, TypeError, ["value", "set"]),
        (slice(None), np.ma.masked_array([1.0, 2.0], mask=[True, False]), TypeError, ["mask", "filled"]),
        (slice(None), [leaf(1.0), 2.0], RuntimeError, ["detach"]),
        (slice(None), np.ones(3), ValueError, ["(3,)", "(2,)"]),
        (Tensor([1.0, 0.0]), 1.0, TypeError, ["index", "float32"]),
        ("0", 1.0, TypeError, ["index"]),
        (7, 1.0, IndexError, ["7"]),
    ],
)
def test_what_cannot_be_assigned_changes_nothing(index, value, error, parts):
    x = Tensor(np.array([3.0, 4.0]))
    with raises(error, *parts):
        x[index] = value
    assert x.tolist() == [3, 4]


def test_numbers_that_do_not_fit_are_not_assigned():
    x = Tensor(np.array([3, 4], np.uint8))
    with raises(ValueError, "300", "uint8"):
        x[0] = 300
    assert x.tolist() == [3, 4]


@pytest.mark.parametrize("value", [np.array([5.0]), [[5.0]], Tensor([5.0]), Tensor(5.0)], ids=repr)
def test_one_element_takes_an_array_of_one(place, value):
    """As in PyTorch; NumPy's own arrays refuse it."""
    x = place.tensor(np.zeros(4))
    x[1] = value.to(x.device) if isinstance(value, Tensor) else value
    np.testing.assert_array_equal(x.numpy(), [0, 5, 0, 0])


def test_what_is_assigned_is_on_the_same_device(place):
    x = place.tensor(np.zeros(3, np.float32))
    x[[0, 2]] = [5.0, 6.0]
    x[Tensor([1])] = place.tensor(np.ones(1, np.float32))
    assert x.tolist() == [5, 1, 6] and x.device == place.device
    if place.device == "cuda":
        with raises(DeviceError, "'cuda'", "'cpu'", ".to("):
            x[0] = Tensor([1.0])


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.__iadd__(1),
        lambda x: x.__ipow__(2),
        lambda x: x.zero_(),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: F.relu(x, inplace=True),
    ],
)
def test_memory_that_is_read_only(write):
    array = np.array([3.0, -4.0])
    array.flags.writeable = False
    with raises(ValueError, "(2,)", "read-only", ".clone()"):
        write(Tensor(array))
    write(Tensor(array).clone())


def test_assignment_under_no_grad_and_in_the_graph():
    x, y = leaf(1.0, 2.0), leaf(3.0)
    with no_grad():
        x[0] = 7.0
        x[1:] = y
    assert x.tolist() == [7, 3] and x.requires_grad
    for target, value, part in ((x, 1.0, "no_grad"), (Tensor(np.zeros(1)), y * 2, "detach")):
        with raises(RuntimeError, part):
            target[0:1] = value
