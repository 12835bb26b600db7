"""Cross-entropy with every option, and logits that overflow a naive formula. Labels it refuses: test_labels.py."""

import numpy as np
import pytest
from checks import check_close, check_equals_torch, check_float32, check_gradients, forward, gradient, raises
from hypothesis import given
from strategies import classifications

import minicnn.functional as F
from minicnn import Tensor


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


def test_maps_with_pixels_that_nobody_has_labelled(place, torch):
    """As segmentation has them: bytes (N, H, W), 255 where there is no label; a map without any adds nothing."""
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((3, 4, 5, 2)), rng.integers(0, 4, (3, 5, 2)).astype(np.uint8)
    target[0, :2], target[1] = 255, 255
    scores = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor(target.astype(int)), ignore_index=255)
    loss.backward()
    check_close(forward(place, F.cross_entropy, x, target=target, ignore_index=255), loss.detach().numpy(), 1e-12)
    grad = gradient(place, F.cross_entropy, x, target=target, ignore_index=255)
    check_close(grad, scores.grad.numpy(), 1e-12)


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


def test_smoothing_is_a_share():
    with raises(ValueError, "cross_entropy", "label_smoothing", "1.5"):
        F.cross_entropy(Tensor(np.ones((2, 3))), [0, 1], label_smoothing=1.5)
