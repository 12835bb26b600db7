"""The CUDA kernels beside one another and beside the reference: every rung of a ladder, every op's mirror."""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from checks import Place, check_close, needs_compiler, raises
from hypothesis import given, settings
from hypothesis import strategies as st
from real_gpu import back, there
from strategies import convolutions

import minicnn
from minicnn import optim
from minicnn.device import MIRRORS, implementation
from minicnn.kernels import arguments
from minicnn.kernels.cuda import conv, matmul, split
from minicnn.ops.conv import conv2d_forward
from minicnn.ops.geometry import pair
from minicnn.random import philox_uniform

pytestmark = [needs_compiler, pytest.mark.gpu]

TOLERANCE = {np.float32: 1e-4, np.float64: 1e-12}
SIZES = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 70, 130])


@pytest.fixture(autouse=True)
def gpu():
    with Place("cuda", "fast").active():
        yield


def reference_functions():
    """Every function that an op's page looks up by ``run``, or an optimiser as its ``update``."""
    for path in sorted((Path(minicnn.__file__).parent / "ops").glob("*.py")):
        module = importlib.import_module(f"minicnn.ops.{path.stem}")
        for name in sorted(set(re.findall(r"self\.run\((\w+)", path.read_text()))):
            yield pytest.param(getattr(module, name), id=name)
    kinds = [getattr(optim, name) for name in optim.__all__ if hasattr(getattr(optim, name), "update")]
    for update in dict.fromkeys(kind.update for kind in kinds):  # each once
        yield pytest.param(update, id=update.__name__)


@pytest.mark.parametrize("device, tier", MIRRORS)
@pytest.mark.parametrize("reference", list(reference_functions()))
def test_every_op_has_a_mirror_of_its_name_and_arguments(reference, device, tier):
    with Place(device, tier).active():
        mirror = implementation(reference, device, tier)
    assert mirror.__name__ == reference.__name__ and mirror is not reference
    assert list(inspect.signature(mirror).parameters) == list(inspect.signature(reference).parameters)


@pytest.mark.parametrize("kernel", list(matmul.LADDER))
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize(
    "a_is_transposed, b_is_transposed", [(False, False), (False, True), (True, False), (True, True)]
)
@settings(max_examples=40)  # 28 times
@given(rows=SIZES, columns=SIZES, depth=SIZES | st.just(0), biased=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_products(kernel, dtype, a_is_transposed, b_is_transposed, rows, columns, depth, biased, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, depth), (depth, columns)))
    bias = rng.standard_normal(columns).astype(dtype) if biased else None
    c = matmul.multiply(
        there(a.T if a_is_transposed else a),
        there(b.T if b_is_transposed else b),
        there(bias),
        a_is_transposed=a_is_transposed,
        b_is_transposed=b_is_transposed,
        kernel=kernel,
    )
    check_close(back(c), a @ b + (0 if bias is None else bias), TOLERANCE[dtype])


@pytest.mark.parametrize("busy, chosen", [(7, "matmul_double"), (6, "matmul_large")])
def test_the_rung_that_is_chosen(monkeypatch, busy, chosen):
    monkeypatch.setattr(split, "BUSY", busy)
    monkeypatch.setattr(matmul, "_kernels", {chosen: matmul._kernels[chosen]})
    a, b = np.ones((300, 3)), np.ones((3, 200))
    check_close(back(matmul.multiply(there(a), there(b))), a @ b, 0)


@pytest.mark.parametrize(
    "positions, tiles, splits",
    [(0, 1, (1, 1)), (600, 1, (2, 300)), (601, 1, (2, 301)), (10**6, 128, (2, 500000)), (10**6, 200, (1, 10**6))],
)
def test_how_a_long_sum_is_split(positions, tiles, splits):
    assert split.cut(positions, tiles, 256) == splits


def test_every_position_is_in_one_split():
    for positions in range(1, 9000, 37):
        for multiple in (1, 32):
            splits, length = split.cut(positions, 9, 256, multiple)
            assert (splits - 1) * length < positions <= splits * length and length % multiple == 0


@pytest.mark.parametrize("rung", [conv.conv2d_by_direct_sums, conv.conv2d_by_im2col, conv.conv2d_forward])
@given(case=convolutions())
def test_convolutions(rung, case):
    options = case.options
    padding = 1 if isinstance(options["padding"], str) else options["padding"]  # here it is numbers already
    sides = tuple((p, p) for p in pair("conv2d", "padding", padding, 0))
    stride, dilation = (pair("conv2d", name, options[name], 1) for name in ("stride", "dilation"))
    geometry = stride, sides, dilation, options["groups"]
    x, weight, bias = case.arrays()
    y = rung(there(x), there(weight), there(bias), *geometry)
    check_close(back(y), conv2d_forward(x, weight, bias, *geometry), 1e-12)


def test_more_positions_than_an_int_can_count():
    for x_shape, y_shape in (((2, 1, 2**15, 2**15), (2, 1, 1, 1)), ((2, 1, 1, 1), (2, 1, 2**15, 2**15))):
        with raises(ValueError, "conv2d", "2 images", "1073741824 positions"):
            arguments.check_positions(x_shape, y_shape)
    arguments.check_positions((2, 64, 2**15, 2**15 - 1), (2, 64, 1, 1))


def test_more_than_one_piece_of_a_convolution():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 4, 9, 11)), rng.standard_normal((130, 2, 3, 3))
    geometry = (1, 1), ((1, 1), (2, 0)), (1, 1), 2
    y = conv.conv2d_forward(there(x), there(weight), None, *geometry)
    check_close(back(y), conv2d_forward(x, weight, None, *geometry), 1e-12)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("size, start", [(1, 0), (4, 0), (1030, 0), (1, 2**35 + 3), (5, 2**35 + 3), (1030, 2**35 + 3)])
def test_dropout_draws_the_numbers_of_the_reference(dtype, size, start):
    dropout = importlib.import_module("minicnn.kernels.cuda.dropout")
    key, call = 0xFEDCBA9876543210, 2**33 + 5
    y = dropout.dropout_forward(there(np.ones(size, dtype)), 0.25, key, call, start, None)
    assert np.array_equal(back(y) > 0, philox_uniform(key, call, start, size) >= np.float32(0.25))
