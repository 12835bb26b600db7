"""What a Function of one's own is told when it returns something else than an array of the right kind."""

import numpy as np
import pytest
from checks import check_close, leaf, raises

import minicnn
import minicnn.functional as F
from minicnn import Function, Tensor, optim
from minicnn.device import DeviceError


def op(forward=lambda x: x * 2, backward=lambda grad: grad * 2):
    class Odd(Function):
        def forward(self, x):
            return forward(x)

        def backward(self, grad_out):
            return backward(grad_out)

    return Odd.apply


@pytest.mark.parametrize(
    "value", [3.0, None, [1.0, 2.0], "text", Tensor([1.0])], ids=["a number", "nothing", "a list", "text", "a Tensor"]
)
def test_what_is_no_array_names_the_op_and_the_type(value):
    with raises(TypeError, "Odd.forward", type(value).__name__, "array"):
        op(forward=lambda x: value)(leaf(1.0, 2.0))
    if value is not None:  # which stands for no gradient
        with raises(TypeError, "Odd.backward", type(value).__name__, "array"):
            op(backward=lambda grad: value)(leaf(1.0, 2.0)).sum().backward()


def test_a_numpy_number_is_an_array_without_axes():
    x = leaf(1.0, 2.0)
    y = op(forward=lambda x: x.sum(), backward=lambda grad: np.full(2, grad))(x)
    y.backward()
    assert y.shape == () and x.grad.tolist() == [1, 1]


def test_integers_have_no_gradient():
    with raises(TypeError, "Odd.forward", "int64", "float32 or float64"):
        op(forward=lambda x: x.astype(int))(leaf(1.0))
    assert op(forward=lambda x: x.astype(int))(Tensor([1.5])).dtype == np.int64


@pytest.mark.parametrize(
    "gradient, parts",
    [
        (lambda g: None, ["no gradient", "input 0"]),
        (lambda g: (g, g), ["2 gradients", "1 inputs"]),
        (lambda g: g[:1], ["(1,)", "(2,)"]),
        (lambda g: g.astype(np.float32), ["float32", "float64"]),
    ],
    ids=["none", "too many", "another shape", "another dtype"],
)
def test_a_gradient_that_does_not_fit(gradient, parts):
    with raises(RuntimeError, "Odd.backward", *parts):
        op(backward=gradient)(leaf(1.0, 2.0)).sum().backward()


def test_a_gradient_on_the_other_device(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    x = Tensor(np.ones(2)).to("cuda").requires_grad_()
    y = op(backward=lambda grad: np.asarray(grad))(x)
    with raises(DeviceError, "Odd.backward", "'cpu'", "'cuda'"):
        y.backward(Tensor(np.ones(2)).to("cuda"))


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_method_that_was_not_written(method):
    there = {"forward": lambda self, x: x * 2, "backward": lambda self, grad_out: grad_out}
    del there[method]
    half = type("Half", (Function,), there)
    with raises(NotImplementedError, "Half", method):
        half.apply(leaf(1.0, 2.0)).sum().backward()


def test_gradcheck_of_one_array_and_of_what_returns_no_tensor(torch):
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert minicnn.gradcheck(op(), x) and minicnn.gradcheck(op(), Tensor(x)) and minicnn.gradcheck(op(), (x,))
    with raises(TypeError, "gradcheck", "one Tensor", "tuple"):
        minicnn.gradcheck(lambda t: (t, t), x)


def test_the_way_to_another_device_is_in_the_graph(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    x = leaf(1.0, 2.0)
    there = (x * 2).to("cuda")
    assert there.device == "cuda" and there.requires_grad
    ((there * there) + there).sum().backward()  # used twice: the gradients are added over there
    check_close(x.grad.numpy(), np.array([10.0, 18.0]), 0)
    assert x.grad.device == "cpu"
    x.grad = None
    back = x.to("cuda").to("cpu") * 3
    back.backward(np.ones(2))
    check_close(x.grad.numpy(), np.array([3.0, 3.0]), 0)


def test_without_a_gradient_the_way_to_another_device_leaves_no_graph(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    with minicnn.no_grad():
        y = leaf(1.0).to("cuda")
    assert not y.requires_grad and y.node is None and not Tensor([1]).to("cuda").requires_grad


def test_an_upstream_gradient_of_the_other_device(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    y = leaf(1.0, 2.0) * 2
    with raises(ValueError, "upstream", "'cuda'", "'cpu'"):
        y.backward(Tensor(np.ones(2)).to("cuda"))


def test_the_gradient_that_an_op_is_given_is_not_its_own():
    """Addition hands the same gradient to both sides: writing into it would change the other's."""

    def doubled_in_place(grad):
        grad *= 2
        return grad

    x = leaf(1.0, 2.0)
    y = x * 1
    with pytest.raises(ValueError, match="read-only"):
        (op(backward=doubled_in_place)(y) + y * 1).backward(np.ones(2))
    x = leaf(1.0, 2.0)
    y = op(backward=lambda grad: grad)(x)  # what is handed on is an ordinary array
    (y * y).sum().backward()
    x.grad.detach()[...] = 0
    (op(backward=lambda grad: grad)(x * 3) * 1).sum().backward()
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("value", [Tensor([1.0]), 3, None, [1.0]], ids=lambda value: type(value).__name__)
def test_what_is_saved_is_an_array(value):
    class Odd(Function):
        def forward(self, x):
            self.save_for_backward(x, value)
            return x * 2

    with raises(TypeError, "Odd", "save_for_backward", type(value).__name__, "self.name"):
        Odd.apply(leaf(1.0, 2.0))


def test_a_number_that_numpy_has_made_of_an_array_may_be_saved():
    class Square(Function):
        def forward(self, x):
            self.save_for_backward(x + 0)  # of an array without axes: a np.float64
            return x * x

        def backward(self, grad_out):
            return 2 * self.saved[0] * grad_out

    x = Tensor(np.array(3.0), requires_grad=True)
    Square.apply(x).backward()
    assert x.grad.item() == 6


def test_an_op_may_have_an_init_of_its_own():
    class Twice(Function):
        def __init__(self):
            self.factor = 2

        def forward(self, x):
            return self.factor * x

        def backward(self, grad_out):
            return self.factor * grad_out

    x = leaf(1.0, 2.0)
    Twice.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_ops_on_tensors_without_axes(place):
    """NumPy makes numbers of such arrays, which are arrays all the same."""
    for function in (F.relu, F.sigmoid, F.tanh, lambda x: x * x / 2, lambda x: abs(x).exp()):
        x = place.tensor(np.array(0.5, np.float32), True)
        y = function(x)
        y.backward()
        assert y.shape == x.grad.shape == ()


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_pytorchs_static_methods_are_told_what_to_write(method):
    with raises(TypeError, f"Square.{method} is a static method", f"def {method}(self, ", "self.saved"):
        type("Square", (minicnn.Function,), {method: staticmethod(lambda ctx, x: x)})


def test_tensors_of_another_library_are_told_from_ours(torch):
    theirs, weight = torch.ones(1, 2), Tensor(np.ones((2, 2), np.float32))
    for call in (lambda: F.linear(theirs, weight), lambda: F.relu(theirs), lambda: optim.SGD([theirs], lr=0.1)):
        with raises(TypeError, "is a torch.Tensor, not a Tensor"):
            call()
