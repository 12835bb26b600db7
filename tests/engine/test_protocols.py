"""Tensors beside what Python and NumPy bring along: numbers, sequences, text, foreign arrays, copies."""

import copy
import pickle

import numpy as np
import pytest
from checks import check_close, leaf, raises

import minicnn.functional as F
from minicnn import Tensor, nn


def test_numbers():
    assert f"{Tensor(1.5):.2f}" == "1.50" and f"{Tensor([3]):>4}" == "   3"
    assert (
        int(Tensor(3)) == 3
        and float(Tensor([2.5])) == 2.5
        and round(Tensor(2.25), 1) == 2.2
        and round(Tensor(2.6)) == 3
    )
    assert f"{Tensor([1.0, 2.0])}" == repr(Tensor([1.0, 2.0]))


@pytest.mark.parametrize("use", [lambda t: f"{t:.2f}", lambda t: t.item(), int, float])
def test_several_values_are_no_number(use):
    with pytest.raises((TypeError, ValueError)) as caught:
        use(Tensor([1.0, 2.0]))
    assert "(2,)" in str(caught.value) and "single" in str(caught.value)


def test_an_integer_without_axes_is_an_index():
    names = ["cat", "dog", "fox"]
    assert names[Tensor([0.1, 0.7, 0.2]).argmax()] == "dog"
    assert list(range(Tensor(2))) == [0, 1] and np.arange(5)[Tensor([1, 2])].tolist() == [1, 2]


@pytest.mark.parametrize("wrong", [Tensor(1.0), Tensor([1]), Tensor(True)])
def test_other_tensors_are_no_index(wrong):
    with raises(TypeError, "integer", wrong.shape, wrong.dtype):
        ["cat", "dog"][wrong]


def test_sequences():
    rows = list(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert [row.tolist() for row in rows] == [[1, 2], [3, 4]]
    assert 3.0 in Tensor([[1.0, 3.0]]) and 5.0 not in Tensor([[1.0, 3.0]])
    for use in (list, sum, len):
        with raises(TypeError, "without axes"):
            use(Tensor(3.0))


def test_equal_to_nothing():
    t = Tensor([1.0, 2.0])
    assert (t == None) is False and (t != None) is True  # noqa: E711
    assert t in [None, t]


def test_an_array_on_the_left():
    a, t = np.array([[1.0, 2.0]]), leaf([3.0], [4.0])
    y = a @ t
    assert isinstance(y, Tensor) and y.tolist() == [[11.0]]
    y.backward()
    check_close(t.grad.numpy(), a.T, 0)
    for result in (a.T * t, a.T + t, a.T - t, a.T / t):
        assert isinstance(result, Tensor) and result.requires_grad
    assert (a @ t).tolist() == (leaf([1.0, 2.0]) @ t.numpy()).tolist()


@pytest.mark.parametrize("function", [np.mean, np.sum, np.max, np.min, np.argmax, np.std, np.median, np.sort, np.shape])
def test_numpy_functions_of_the_values(function):
    t = leaf([1.0, 5.0], [4.0, 2.0])
    np.testing.assert_equal(function(t), function(t.numpy()))


def test_numpy_functions_of_several_tensors():
    a, b = leaf(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    assert np.stack([a, b]).tolist() == [[1, 2], [3, 4]] and np.concatenate((a, b)).tolist() == [1, 2, 3, 4]
    assert np.where(np.array([True, False]), a, b).tolist() == [1, 4]
    with raises(TypeError, "sum", "out="):
        np.sum(a, out=Tensor(np.zeros(())))
    assert np.shape(a) == (2,) and np.ndim(a) == 1


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_an_ordinary_array():
    t = Tensor(np.matrix([[1.0, 2.0], [3.0, 4.0]]))
    assert (t * t).tolist() == [[1, 4], [9, 16]] and t.sum(dim=1).shape == (2,)
    assert (t * np.matrix([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[1, 4], [9, 16]]


def test_the_memory_of_a_subclass_is_shared(tmp_path):
    mapped = np.memmap(tmp_path / "numbers", np.float32, "w+", shape=4)
    t = Tensor(mapped)
    t[0] = 5
    assert type(t.data) is np.ndarray and mapped[0] == 5


@pytest.mark.parametrize(
    "use",
    [
        Tensor,
        lambda masked: Tensor(np.ones(2)) * masked,
        lambda masked: F.cross_entropy(Tensor(np.zeros((2, 3), np.float32)), masked.astype(int)),
        lambda masked: Tensor(np.ones(2))[masked.astype(int)],
    ],
    ids=["Tensor", "operator", "labels", "index"],
)
def test_a_mask_is_not_dropped(use):
    with raises(TypeError, "mask", "filled"):
        use(np.ma.masked_array([1.0, 0.0], mask=[True, False]))


def test_foreign_arrays(torch):
    assert Tensor(torch.ones(2)).tolist() == [1, 1] and Tensor(torch.arange(3)).dtype == np.int64
    pandas = pytest.importorskip("pandas", reason="pandas, whose columns become Tensors here, is not installed")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert (Tensor(frame) * 2).tolist() == [[2, 6], [4, 8]] and Tensor(frame["a"]).shape == (2,)
    assert F.cross_entropy(Tensor(np.zeros((2, 3))), pandas.Series([0, 2])).item() == pytest.approx(np.log(3))


def test_the_byte_order_of_other_machines():
    labels = np.array([1, 2], ">i4")
    assert Tensor(labels).dtype == np.int32 and Tensor(labels).tolist() == [1, 2]
    with raises(TypeError, ">f4", "convert"):
        Tensor(np.array([1.0], ">f4"))


def test_a_list_of_tensors_does_not_cut_the_graph():
    a, b = leaf(1.0), leaf(2.0)
    assert Tensor([a.detach(), b.detach()]).shape == (2, 1)
    for lists in ([a, b], [[a.sum()], [b.sum()]], (a * 2, 3.0)):
        with raises(TypeError, "cut the graph", "stack"):
            Tensor(lists)


def test_a_result_is_pickled_without_its_graph():
    x = Tensor(np.ones(100_000, np.float32), requires_grad=True)
    loss = (x * x).sum()
    assert len(pickle.dumps(loss)) < 2000
    again = pickle.loads(pickle.dumps(loss))
    assert again.item() == loss.item() and not again.requires_grad and again.node is None
    loss.backward()
    assert x.grad is not None


def test_a_deep_result_can_be_copied():
    y = leaf(1.0)
    for _ in range(3000):
        y = y * 1.0
    assert copy.deepcopy(y).item() == 1.0


def test_a_leaf_is_pickled_whole():
    p = nn.Parameter(np.ones(3, np.float32))
    (p * 2).sum().backward()
    for q in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p), copy.copy(p)):
        assert type(q) is nn.Parameter and q.requires_grad and q.tolist() == [1, 1, 1] and q.grad.tolist() == [2, 2, 2]
    q = copy.deepcopy(p)
    q.detach()[0] = 9.0
    assert p.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "data, error, parts",
    [
        (5, TypeError, ["array", "int"]),
        (Tensor([1.0]), TypeError, [".data"]),
        (np.array([1, 2]), TypeError, ["int64"]),
        (np.ones(2, np.float16), TypeError, ["float16", "convert"]),
        (np.ones(2, ">f8"), TypeError, [">f8", "convert"]),
        (np.array(["1", "2"]), TypeError, ["<U1"]),
        (np.array([None, 1.0]), TypeError, ["object"]),
        (np.ma.masked_array([1.0, 2.0], mask=[True, False]), TypeError, ["mask", "filled"]),
    ],
)
def test_data_is_an_array(data, error, parts):
    for x in (leaf(1.0, 2.0), Tensor([1.0, 2.0])):
        if data is not None and getattr(data, "dtype", None) == np.int64 and not x.requires_grad:
            continue  # a constant may become integers
        before = x.data
        with raises(error, *parts):
            x.data = data
        assert x.data is before


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_data_that_is_a_matrix_is_an_ordinary_array():
    x = Tensor(np.zeros((2, 2)))
    x.data = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    assert type(x.data) is np.ndarray and (x * x).tolist() == [[1, 4], [9, 16]]


def test_a_shallow_copy_is_the_same_memory():
    x = leaf(1.0, 2.0)
    for changed in (lambda y: copy.copy(y), lambda y: copy.copy(y.detach())):
        y = F.sigmoid(x)
        changed(y)[...] = 5
        with raises(RuntimeError, "Sigmoid", "in place"):
            y.sum().backward()
    assert copy.copy(x).requires_grad and not copy.copy(x * 2).requires_grad


@pytest.mark.parametrize(
    "grad, error, parts",
    [
        (np.ones(2), TypeError, ["Tensor or None", "ndarray"]),
        (Tensor(np.ones(3)), ValueError, ["(3,)", "(2,)"]),
        (Tensor(np.ones((1, 2))), ValueError, ["(1, 2)", "(2,)"]),
        (Tensor(np.ones(2, np.float32)), ValueError, ["float32", "float64"]),
    ],
)
def test_a_gradient_fits_its_tensor(grad, error, parts):
    x = leaf(1.0, 2.0)
    with raises(error, *parts):
        x.grad = grad
    assert x.grad is None
    x.grad = Tensor(np.ones(2))
    x.grad = None
