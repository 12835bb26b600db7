"""gradcheck itself: it passes what is right and rejects what is wrong, ones would not have shown it."""

import numpy as np
import pytest
from checks import raises

import minicnn.functional as F
from minicnn import Function, Tensor, gradcheck, no_grad
from minicnn.gradcheck import GradcheckError

RNG = np.random.default_rng(0)


def square(error=0.0, scale=1.0):
    """x^2, whose gradient is off by a summand and a factor."""

    class Square(Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x

        def backward(self, grad_out):
            (x,) = self.saved
            return scale * grad_out * 2 * x + error

    return Square.apply


def test_right_gradients_pass():
    assert gradcheck(square(), [RNG.standard_normal((2, 3))])
    assert gradcheck(lambda a, b: a * b, [RNG.standard_normal(3), Tensor(RNG.standard_normal((2, 3)))])
    assert gradcheck(square(), [np.array(2.0)])


@pytest.mark.parametrize("error, scale", [(1e-4, 1), (0, 1.0001), (0, -1), (0, 0), (np.nan, 1)])
@pytest.mark.parametrize("directions", [None, 3])
def test_wrong_gradients_are_rejected(error, scale, directions):
    with pytest.raises(GradcheckError, match=r"input 0, shape \(2, 3\), .*backward says .* differences say"):
        gradcheck(square(error, scale), [1 + RNG.random((2, 3))], directions=directions)


def test_the_message_says_where():
    class OneWrong(Function):
        def forward(self, a, b):
            return a + b

        def backward(self, grad_out):
            wrong = grad_out.copy()
            wrong[1, 0] += 1
            return grad_out, wrong

    with raises(GradcheckError, "input 1", "(2, 2)", "index (1, 0)", "1 apart"):
        gradcheck(OneWrong.apply, [np.zeros((2, 2))] * 2)


def test_a_constant_sum_does_not_hide_a_gradient_of_zero():
    """The sum of a softmax is 1 whatever its input: with an upstream gradient of ones, zeros would pass."""

    class ZeroSoftmax(Function):
        def forward(self, x):
            return F.softmax(Tensor(x), 1).numpy()

        def backward(self, grad_out):
            return np.zeros_like(grad_out)

    x = RNG.standard_normal((2, 3))
    assert gradcheck(lambda t: F.softmax(t, 1), [x])
    with pytest.raises(GradcheckError):
        gradcheck(ZeroSoftmax.apply, [x])


def test_an_input_that_nothing_depends_on_is_reported():
    with raises(GradcheckError, "input 1 got no gradient"):
        gradcheck(lambda a, b: a * 2, [np.ones(2), np.ones(2)])


def test_float32_is_refused():
    with raises(TypeError, "gradcheck", "input 1", "float32", "finite differences"):
        gradcheck(lambda a, b: a + b.astype(np.float64), [np.ones(2), np.ones(2, np.float32)])


def test_directions_need_few_evaluations():
    calls = []

    def counted(x):
        calls.append(1)
        return x * x

    assert gradcheck(counted, [RNG.standard_normal((20, 20))], directions=4)
    assert len(calls) == 1 + 2 * 4


def test_the_inputs_are_left_as_they_were():
    x = Tensor(np.ones(3), requires_grad=True)
    gradcheck(lambda t: F.relu(t + 1, inplace=True), [x])
    assert x.grad is None and (x.numpy() == 1).all()


@pytest.mark.parametrize(
    "options, error, parts",
    [
        ({"directions": 0}, ValueError, ["directions", "0"]),
        ({"directions": -1}, ValueError, ["directions", "-1"]),
        ({"directions": 1.5}, TypeError, ["directions", "1.5"]),
        ({"eps": 0}, ValueError, ["eps", "0"]),
        ({"eps": float("nan")}, ValueError, ["eps", "nan"]),
    ],
)
def test_a_check_that_looks_at_nothing_is_refused(options, error, parts):
    with raises(error, "gradcheck", *parts):
        gradcheck(square(scale=0), [np.ones(2)], **options)


def test_what_is_no_input():
    for wrong in (1.0, None, "12", {1.0}):
        with raises(TypeError, "gradcheck", "inputs", type(wrong).__name__):
            gradcheck(square(), wrong)
    with raises(TypeError, "mask"):
        gradcheck(square(), np.ma.masked_array([1.0, 2.0], mask=[True, False]))


def test_a_result_outside_the_graph():
    for outside in (lambda x: x.detach() * 2, lambda x: Tensor(x.data * 2)):
        with raises(GradcheckError, "graph"):
            gradcheck(outside, np.ones(2))


def test_gradients_are_checked_under_no_grad_too():
    with no_grad():
        assert gradcheck(square(), np.ones(2))
        with raises(GradcheckError, "backward says"):
            gradcheck(square(scale=2), np.ones(2))
