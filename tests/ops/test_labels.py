"""Labels and class weights of both losses that take them: what they refuse, and labels that are on the GPU already."""

import numpy as np
import pytest
from checks import PLACES, Place, check_close, forward, gradient, needs_compiler, raises

import minicnn.functional as F
from minicnn import Tensor
from minicnn.device import to_device

every_loss = pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
X = (2, 3)


@every_loss
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
        (X, [0, 1], {"reduction": "max"}, ValueError, ["reduction", "'max'", "'mean'"]),
        (X, [0, 1], {"weight": np.ones(2)}, ValueError, ["weight", "(3,)", "(2,)"]),
        (X, [0, 1], {"weight": np.ones(3, np.float32)}, TypeError, ["weight", "float32", "float64", "astype"]),
        (X, [0, 3], {"weight": np.ones(2)}, ValueError, ["weight", "(3,)"]),  # labels are last, as on the GPU
    ],
)
def test_errors(loss, x, target, options, error, parts):
    with raises(error, loss.__name__, *parts):
        loss(Tensor(np.ones(x)), np.asarray(target), **options)


@pytest.fixture(params=[pytest.param(p, marks=needs_compiler) for p in PLACES if p.device == "cuda"], ids=str)
def gpu(request):
    with request.param.active():
        yield request.param


@every_loss
def test_labels_on_the_gpu_count_as_on_the_host(gpu, loss):
    x, target = np.random.default_rng(0).standard_normal((5, 3)), np.array([2, 0, -100, 1, 1])
    weight = np.array([1.0, 2.0, 3.0])
    there = {"target": gpu.tensor(target), "weight": gpu.tensor(weight)}
    expected = forward(Place("cpu", "plain"), loss, x, target=target, weight=weight)
    check_close(forward(gpu, loss, x, **there), expected, 1e-12)
    expected = gradient(Place("cpu", "plain"), loss, x, target=target, weight=weight)
    check_close(gradient(gpu, loss, x, **there), expected, 1e-12)


@every_loss
@pytest.mark.parametrize("wrong", [3, -1, 2**40])
@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_a_label_out_of_range_on_the_gpu_is_told_with_the_next_value(gpu, loss, wrong, weight):
    x = gpu.tensor(np.zeros((4, 3)), requires_grad=True)
    value = loss(x, to_device(np.array([0, wrong, 1, 2]), "cuda"), weight)
    value.backward()
    with raises(IndexError, loss.__name__, f"label {wrong}", "0 to 2"):
        x.grad.numpy()
    assert np.isnan(value.item())
    assert np.isfinite(loss(x, to_device(np.array([0, 0, 1, 2]), "cuda"), weight).item())


@every_loss
def test_shapes_and_dtypes_of_labels_on_the_gpu_are_checked_at_once(gpu, loss):
    x = gpu.tensor(np.zeros((4, 3)))
    with raises(TypeError, "integer class numbers", "float64"):
        loss(x, gpu.tensor(np.zeros(4)))
    with raises(ValueError, "(4, 3)", "(3,)"):
        loss(x, gpu.tensor(np.zeros(3, int)))
