"""Cross-entropy with every option, labels it must refuse, and logits that overflow a naive formula."""

import numpy as np
import pytest
from checks import (
    PLACES,
    Place,
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
from minicnn import Tensor
from minicnn.device import to_device


def labels_and_options(case):
    """Labels for the drawn scores (at least one of them counted), and cross_entropy's other arguments."""
    (n, classes, *size), options, rng = case.shapes[0], dict(case.options), case.rng()
    target = rng.integers(0, classes, (n, *size))
    ignored = rng.random(target.shape) < 0.2
    target[ignored] = options["ignore_index"]
    target.flat[0] = classes - 1
    if classes == 1:
        options["ignore_index"] = -100
    options["weight"] = 0.5 + rng.random(classes) if options.pop("weighted") else None
    return target, options


def loss_of(target, weight, **options):
    """cross_entropy as a function of the scores, with the class weights in their dtype."""

    def function(x):
        return F.cross_entropy(x, target, None if weight is None else weight.astype(x.dtype), **options)

    return function


@given(case=classifications())
def test_gradients(place, case):
    target, options = labels_and_options(case)
    check_gradients(place, loss_of(target, **options), case.arrays())


@given(case=classifications())
def test_equals_torch(place, torch, case):
    target, options = labels_and_options(case)
    weight = options.pop("weight")

    def by_torch(x):
        weights = None if weight is None else torch.tensor(weight)
        return torch.nn.functional.cross_entropy(x, torch.tensor(target), weights, **options)

    check_equals_torch(place, loss_of(target, weight, **options), by_torch, case.arrays())


@given(case=classifications())
def test_float32(place, case):
    target, options = labels_and_options(case)
    check_float32(place, loss_of(target, **options), case.arrays())


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type(place, dtype):
    x, target = np.array([[1.0, 2], [3, 1]]), np.array([1, 0], dtype)
    expected = np.mean([np.log1p(np.exp(-1)), np.log1p(np.exp(-2))])
    for labels in (target, Tensor(target), target.tolist()):
        check_close(forward(place, F.cross_entropy, x, target=labels), np.array(expected), 1e-15)


def test_one_label_by_hand(place):
    """Smoothing 0.2 over 2 classes: target probabilities 0.9 and 0.1; the gradient is softmax minus these."""
    x, target = np.array([[0.0, np.log(3)]]), np.array([1])
    check_close(
        gradient(place, F.cross_entropy, x, target=target, label_smoothing=0.2), np.array([[0.15, -0.15]]), 1e-15
    )


def test_huge_logits_are_exact(place):
    for huge in (1e4, 1e30):
        x = np.array([[huge, 0.0]])
        assert forward(place, F.cross_entropy, x, target=[0]) == 0
        assert forward(place, F.cross_entropy, x, target=[1]) == huge
        check_close(gradient(place, F.cross_entropy, x, target=[1]), np.array([[1.0, -1.0]]), 0)


def test_an_impossible_class_costs_nothing_unless_it_is_the_label(place):
    x = np.array([[0.0, -np.inf]])
    assert forward(place, F.cross_entropy, x, target=[0]) == 0
    assert forward(place, F.cross_entropy, x, target=[1]) == np.inf


@pytest.mark.filterwarnings("ignore:invalid value")
def test_infinite_logits_are_nan(place):
    assert np.isnan(forward(place, F.cross_entropy, np.array([[np.inf, 0.0]]), target=[0]))


def test_the_mean_is_over_what_is_counted(place):
    x, target = np.zeros((3, 2)), np.array([0, -100, 1])
    check_close(forward(place, F.cross_entropy, x, target=target), np.array(np.log(2)), 1e-15)
    check_close(
        gradient(place, F.cross_entropy, x, target=target), np.array([[-0.25, 0.25], [0, 0], [0.25, -0.25]]), 1e-15
    )


X = (2, 3)


@pytest.mark.parametrize(
    "x, target, options, error, parts",
    [
        (X, [0, 3], {}, IndexError, ["label 3", "(2, 3)", "0 to 2"]),
        (X, [0, -1], {}, IndexError, ["label -1", "0 to 2"]),
        (X, [0.0, 1.0], {}, TypeError, ["target", "integer", "float64"]),
        (X, [True, False], {}, TypeError, ["target", "integer", "bool"]),
        (X, [0, 1, 2], {}, ValueError, ["target", "(2, 3)", "(3,)"]),
        ((2, 3, 4), [0, 1], {}, ValueError, ["target", "(2, 3, 4)", "(2,)"]),
        ((3,), 1, {}, ValueError, ["input", "(3,)"]),
        ((0, 3), np.empty(0, int), {}, ValueError, ["no labels", "(0,)"]),
        (X, [-100, -100], {}, ValueError, ["no labels", "ignored"]),
        (X, [0, 1], {"reduction": "max"}, ValueError, ["reduction", "'max'"]),
        (X, [0, 1], {"label_smoothing": 1.5}, ValueError, ["label_smoothing", "1.5"]),
        (X, [0, 1], {"weight": np.ones(2)}, ValueError, ["weight", "(3,)", "(2,)"]),
        (X, [0, 1], {"weight": np.ones(3, np.float32)}, TypeError, ["weight", "float32", "float64", "astype"]),
    ],
)
def test_errors(x, target, options, error, parts):
    with raises(error, "cross_entropy", *parts):
        F.cross_entropy(Tensor(np.ones(x)), np.asarray(target), **options)


@pytest.fixture(params=[pytest.param(p, marks=needs_compiler) for p in PLACES if p.device == "cuda"], ids=str)
def gpu(request):
    with request.param.active():
        yield request.param


def test_labels_on_the_gpu_count_as_on_the_host(gpu):
    x, target = np.random.default_rng(0).standard_normal((5, 3)), np.array([2, 0, -100, 1, 1])
    weight = np.array([1.0, 2.0, 3.0])
    there = {"target": gpu.tensor(target), "weight": gpu.tensor(weight)}
    expected = forward(Place("cpu", "plain"), F.cross_entropy, x, target=target, weight=weight)
    check_close(forward(gpu, F.cross_entropy, x, **there), expected, 1e-12)
    expected = gradient(Place("cpu", "plain"), F.cross_entropy, x, target=target, weight=weight)
    check_close(gradient(gpu, F.cross_entropy, x, **there), expected, 1e-12)


@pytest.mark.parametrize("wrong", [3, -1, 2**40])
@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_a_label_out_of_range_on_the_gpu_is_told_with_the_next_value(gpu, wrong, weight):
    x = gpu.tensor(np.zeros((4, 3)), requires_grad=True)
    loss = F.cross_entropy(x, to_device(np.array([0, wrong, 1, 2]), "cuda"), weight)
    loss.backward()
    with raises(IndexError, "cross_entropy", f"label {wrong}", "0 to 2"):
        x.grad.numpy()
    assert np.isnan(loss.item())
    assert np.isfinite(F.cross_entropy(x, to_device(np.array([0, 0, 1, 2]), "cuda"), weight).item())


def test_shapes_and_dtypes_of_labels_on_the_gpu_are_checked_at_once(gpu):
    x = gpu.tensor(np.zeros((4, 3)))
    with raises(TypeError, "integer class numbers", "float64"):
        F.cross_entropy(x, gpu.tensor(np.zeros(4)))
    with raises(ValueError, "(4, 3)", "(3,)"):
        F.cross_entropy(x, gpu.tensor(np.zeros(3, int)))
