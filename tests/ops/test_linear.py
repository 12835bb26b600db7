"""Linear layers and matrix products."""

import operator

import numpy as np
import pytest
from checks import (
    FAST_CPU,
    FAST_GPU,
    check_bfloat16,
    check_close,
    check_equals_torch,
    check_float32,
    check_gradients,
    check_refuses_mixed_dtypes,
    needs_compiler,
    raises,
    run,
)
from hypothesis import given, settings
from strategies import dense_layers, matrix_products

import minicnn.functional as F
from minicnn import Tensor


@given(case=dense_layers())
def test_gradients(place, case):
    check_gradients(place, F.linear, case.arrays())


@given(case=dense_layers())
def test_equals_torch(place, torch, case):
    check_equals_torch(place, F.linear, torch.nn.functional.linear, case.arrays())


@given(case=dense_layers())
def test_float32(place, case):
    check_float32(place, F.linear, case.arrays())


@settings(max_examples=30)
@given(case=dense_layers())
def test_bfloat16(case):
    with FAST_CPU.active():
        check_bfloat16(FAST_CPU, F.linear, case.arrays())


@needs_compiler
@pytest.mark.gpu
@settings(max_examples=15)
@given(case=dense_layers())
def test_bfloat16_on_tensor_cores(case):
    with FAST_GPU.active():
        check_bfloat16(FAST_GPU, F.linear, case.arrays())


@given(case=matrix_products())
def test_matmul(place, torch, case):
    check_gradients(place, operator.matmul, case.arrays())
    check_equals_torch(place, operator.matmul, torch.matmul, case.arrays())
    check_float32(place, operator.matmul, case.arrays())


@pytest.mark.parametrize("x, weight", [((0, 3), (2, 3)), ((4, 0), (2, 0)), ((0, 5, 3), (2, 3))])
def test_empty(place, x, weight):
    y, grads = run(place, F.linear, [np.ones(s) for s in (x, weight, weight[:1])])
    check_close(y, np.ones((*x[:-1], 2)), 0)
    assert [g.shape for g in grads] == [x, weight, weight[:1]]
    assert not grads[1].any()


def test_mixed_dtypes(place):
    check_refuses_mixed_dtypes(place, F.linear, [np.ones(s) for s in ((4, 3), (2, 3), (2,))])
    check_refuses_mixed_dtypes(place, operator.matmul, [np.ones((2, 2))] * 2)


@pytest.mark.parametrize(
    "x, weight, bias, parts",
    [
        ((4, 3), (2, 5), None, ["input", "(4, 3)", "5 features", "(2, 5)"]),
        ((), (2, 5), None, ["input", "()", "(2, 5)"]),
        ((4, 3), (3,), None, ["weight", "(OC, C)", "(3,)"]),
        ((4, 3), (2, 3), (3,), ["bias", "(2,)", "(2, 3)", "(3,)"]),
    ],
)
def test_errors(x, weight, bias, parts):
    tensors = [None if shape is None else Tensor(np.ones(shape)) for shape in (x, weight, bias)]
    with raises(ValueError, "linear", *parts):
        F.linear(*tensors)


@pytest.mark.parametrize("a, b", [((2, 3), (3,)), ((3,), (3, 2)), ((3,), (3,)), ((2, 4, 3), (3,)), ((3,), (5, 3, 2))])
def test_vectors(place, torch, a, b):
    rng = np.random.default_rng(0)
    check_equals_torch(place, lambda x, y: x @ y, torch.matmul, [rng.standard_normal(a), rng.standard_normal(b)])


@pytest.mark.parametrize("a, b", [((2, 3), (2, 3)), ((2,), (3, 2)), ((2, 3), (2,)), ((2,), (3,)), ((), (2,))])
def test_matmul_errors(a, b):
    with raises(ValueError, "matmul", "cannot multiply", "(..., I, K) @ (..., K, J)"):
        Tensor(np.ones(a)) @ Tensor(np.ones(b))
