"""Cross-entropy of probabilities: PyTorch's values and gradients, with every option, and what is refused."""

import numpy as np
import pytest
from checks import (
    PLACES,
    check_bfloat16,
    check_close,
    check_equals_torch,
    check_float32,
    check_gradients,
    forward,
    gradient,
    needs_compiler,
    raises,
)
from hypothesis import given
from strategies import classifications

import minicnn.functional as F
from minicnn import Tensor, nn


def target_and_options(case):
    """Probabilities for the drawn scores, with a class that has none, and cross_entropy's other arguments."""
    shape, options, rng = case.shapes[0], dict(case.options), case.rng()
    del options["ignore_index"]
    target = rng.random(shape) + 0.01
    if shape[1] > 1:
        target[:, rng.integers(shape[1])] = 0
    options["weight"] = 0.5 + rng.random(shape[1]) if options.pop("weighted") else None
    return target / target.sum(axis=1, keepdims=True), options


def loss_of(target, weight, **options):
    """cross_entropy as a function of the scores, with probabilities and class weights in their dtype."""

    def function(x):
        dtype = np.float64 if x.dtype == np.float64 else np.float32
        return F.cross_entropy(x, target.astype(dtype), None if weight is None else weight.astype(dtype), **options)

    return function


@given(case=classifications())
def test_gradients(place, case):
    target, options = target_and_options(case)
    check_gradients(place, loss_of(target, **options), case.arrays())


@given(case=classifications())
def test_equals_torch(place, torch, case):
    target, options = target_and_options(case)
    weight = options.pop("weight")

    def by_torch(x):
        weights = None if weight is None else torch.tensor(weight)
        return torch.nn.functional.cross_entropy(x, torch.tensor(target), weights, **options)

    check_equals_torch(place, loss_of(target, weight, **options), by_torch, case.arrays())


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4, 2)])
def test_float32_and_bfloat16(place, shape):
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal(shape), rng.random(shape)
    loss = loss_of(target / target.sum(axis=1, keepdims=True), 0.5 + rng.random(shape[1]), label_smoothing=0.1)
    check_float32(place, loss, [x])
    check_bfloat16(place, loss, [x])


def test_onehot_is_the_label(place):
    x, labels = np.random.default_rng(0).standard_normal((5, 4)), np.array([3, 0, 1, 1, 2])
    for options in (
        {},
        {"label_smoothing": 0.1},
        {"reduction": "none"},
        {"reduction": "sum", "weight": np.arange(1.0, 5)},
    ):
        soft, hard = (forward(place, F.cross_entropy, x, target=t, **options) for t in (np.eye(4)[labels], labels))
        check_close(soft, hard, 1e-12)
        grads = [gradient(place, F.cross_entropy, x, target=t, **options) for t in (np.eye(4)[labels], labels)]
        check_close(*grads, 1e-12)


def test_one_row_by_hand(place):
    x, target = np.array([[0.0, np.log(3)]]), np.array([[0.7, 0.3]])
    expected = 0.7 * np.log(4) + 0.3 * np.log(4 / 3)
    check_close(forward(place, F.cross_entropy, x, target=target), np.array(expected), 1e-15)
    check_close(gradient(place, F.cross_entropy, x, target=target), np.array([[-0.45, 0.45]]), 1e-15)


def test_an_impossible_class_costs_nothing_where_it_is_not_expected(place):
    x = np.array([[0.0, -np.inf]])
    assert forward(place, F.cross_entropy, x, target=np.array([[1.0, 0.0]])) == 0
    assert forward(place, F.cross_entropy, x, target=np.array([[0.5, 0.5]])) == np.inf


def test_the_layer_takes_both():
    x, target = Tensor(np.zeros((2, 4))), np.full((2, 4), 0.25)
    layer = nn.CrossEntropyLoss(label_smoothing=0.1)
    check_close(layer(x, Tensor(target)).numpy(), layer(x, [0, 1]).numpy(), 1e-15)


@pytest.mark.parametrize(
    "target, options, error, parts",
    [
        ([[0.5, 0.5], [0.7, 0.4]], {}, ValueError, ["row 1 sums to 1.1", "none below 0 and 1 in all"]),
        ([[1.5, -0.5], [0.5, 0.5]], {}, ValueError, ["row 0 has -0.5"]),
        ([[0.5, 0.5], [np.nan, 1]], {}, ValueError, ["row 1 has nan"]),
        ([[np.inf, 0], [0.5, 0.5]], {}, ValueError, ["row 0 sums to inf"]),
        ([[0.5, 0.5]], {}, TypeError, ["integer class numbers", "(2, 2)", "(1, 2)"]),
        ([[0.5, 0.5]] * 2, {"ignore_index": 1}, ValueError, ["ignore_index=1", "probabilities"]),
        ([[0.5, 0.5]] * 2, {"reduction": "max"}, ValueError, ["reduction", "'max'"]),
        ([[0.5, 0.5]] * 2, {"weight": np.ones(3)}, ValueError, ["weight", "(2,)", "(3,)"]),
    ],
)
def test_errors(target, options, error, parts):
    with raises(error, "cross_entropy", *parts):
        F.cross_entropy(Tensor(np.ones((2, 2))), np.array(target), **options)


def test_more_errors():
    x = Tensor(np.ones((2, 2, 3)))
    target = np.full((2, 2, 3), 0.5)
    with raises(TypeError, "cross_entropy", "target is float32", "input is float64", "astype"):
        F.cross_entropy(x, target.astype(np.float32))
    with raises(TypeError, "target requires a gradient", "detach"):
        F.cross_entropy(x, Tensor(target, requires_grad=True))
    with raises(ValueError, "no rows to average over", "(0, 3)"):
        F.cross_entropy(Tensor(np.ones((0, 3))), np.ones((0, 3)))
    target[1, 0, 2] = 0.6
    with raises(ValueError, "row 1 at (2,) sums to 1.1"):
        F.cross_entropy(x, target)


def test_a_target_that_is_changed_before_backward_is_noticed():
    x, target = Tensor(np.ones((2, 2)), requires_grad=True), Tensor(np.full((2, 2), 0.5))
    loss = F.cross_entropy(x, target)
    target[0, 0] = 0.75
    with raises(RuntimeError, "SoftCrossEntropy", "changed in place"):
        loss.backward()


@pytest.fixture(params=[pytest.param(p, marks=needs_compiler) for p in PLACES if p.device == "cuda"], ids=str)
def gpu(request):
    with request.param.active():
        yield request.param


def test_rows_that_are_no_probabilities_are_nan_on_the_gpu(gpu):
    """Nobody waits for it to look at them."""
    x, target = gpu.tensor(np.zeros((3, 2))), gpu.tensor(np.array([[0.5, 0.5], [0.7, 0.4], [0.9, 0.1]]))
    loss = F.cross_entropy(x, target, reduction="none").numpy()
    assert np.isnan(loss).tolist() == [False, True, False]
    assert np.isnan(F.cross_entropy(x, target).item())
