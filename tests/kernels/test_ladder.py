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
from minicnn.device import MIRRORS, DeviceError, implementation
from minicnn.kernels import arguments
from minicnn.kernels.cuda import conv, matmul, split
from minicnn.kernels.cuda.emulator.recording import recording
from minicnn.ops import conv as reference
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


# what a mirror may take from the page as it is: a conversion of the array library's, a few numbers for each channel
WITHOUT_A_LOOP = {"cast_forward", "sync_batch_norm_statistics"}
# for the processor's caches alone: on a GPU conv2d_batch_norm takes the ops that there are (ops/conv_batchnorm.py)
NOT_ON_GPUS = {"conv2d_moments_forward", "conv2d_grad_x_completed"}


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
        if device == "cuda" and reference.__name__ in NOT_ON_GPUS:
            with raises(DeviceError, reference.__name__, "has no kernel for device 'cuda'"):
                implementation(reference, device, tier)
            return
        mirror = implementation(reference, device, tier)
    assert mirror.__name__ == reference.__name__ and (mirror is not reference or reference.__name__ in WITHOUT_A_LOOP)
    assert list(inspect.signature(mirror).parameters) == list(inspect.signature(reference).parameters)


@pytest.mark.parametrize("kernel", list(matmul.LADDER))
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize(
    "a_is_transposed, b_is_transposed", [(False, False), (False, True), (True, False), (True, True)]
)
@settings(max_examples=20)  # for each of 64 kinds
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


@pytest.mark.parametrize(
    "busy, depth, chosen",
    [(7, 3, "matmul_double"), (6, 3, "matmul_large"), (7, 512, "matmul_split"), (13, 512, "matmul_double")],
)
def test_the_rung_that_is_chosen(monkeypatch, busy, depth, chosen):
    monkeypatch.setattr(split, "BUSY", busy)
    monkeypatch.setattr(matmul, "_kernels", {chosen: matmul._kernels[chosen]})
    a, b = np.ones((300, depth)), np.ones((depth, 200))
    check_close(back(matmul.multiply(there(a), there(b))), a @ b, 0)


@pytest.mark.emulator
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_parts_of_a_product(monkeypatch, dtype):
    monkeypatch.setattr(matmul, "SHORTEST", 8)
    rng = np.random.default_rng(0)
    a, b, bias = (rng.standard_normal(shape).astype(dtype) for shape in ((130, 150), (150, 70), 70))
    with recording() as launches:
        c = matmul.multiply(there(a), there(b), there(bias), kernel="matmul_split")
    assert launches[0].grid == (2, 1, 10)  # parts of 16 terms, a multiple of a tile's depth
    check_close(back(c), a @ b + bias, TOLERANCE[dtype])


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


RUNGS = conv.conv2d_by_direct_sums, conv.conv2d_by_im2col, conv.conv2d_by_implicit_im2col, conv.conv2d_forward


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=60)  # conv2d_forward has those of tests/ops/test_conv.py, too
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


@pytest.mark.parametrize(
    "x_shape, y_shape, what",
    [
        ((1, 2, 2**15, 2**15), (1, 1, 1, 1), "image of (2, 32768, 32768)"),
        ((1, 1, 1, 1), (1, 2**11, 2**10, 2**10), "output of (2048, 1024, 1024)"),
    ],
)
def test_more_numbers_in_an_image_than_an_int_can_count(x_shape, y_shape, what):
    with raises(ValueError, "conv2d", what):
        conv._geometry(x_shape, (1, 1, 1, 1), y_shape, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def test_more_than_one_piece_of_a_convolution():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 4, 9, 11)), rng.standard_normal((130, 2, 3, 3))
    geometry = (1, 1), ((1, 1), (2, 0)), (1, 1), 2
    y = conv.conv2d_forward(there(x), there(weight), None, *geometry)
    check_close(back(y), conv2d_forward(x, weight, None, *geometry), 1e-12)


CONVOLUTIONS = {  # x, weight, stride, padding, dilation, groups
    "two groups, two tiles of filters": ((2, 4, 9, 11), (260, 2, 3, 3), (1, 1), ((1, 1), (2, 0)), (1, 1), 2),
    "two tiles of channels": ((1, 130, 5, 4), (3, 130, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "phases of several sizes": ((3, 2, 9, 14), (5, 2, 3, 4), (2, 3), ((1, 1), (2, 1)), (1, 1), 1),
    "phases without a tap": ((2, 3, 8, 9), (4, 3, 1, 2), (2, 3), ((0, 0), (1, 0)), (1, 1), 1),
    "stride and dilation with a common divisor": ((1, 2, 17, 19), (3, 2, 3, 3), (4, 6), ((3, 5), (2, 2)), (2, 4), 1),
    "fewer pixels than the stride": ((2, 3, 2, 7), (4, 3, 5, 2), (4, 9), ((2, 2), (0, 4)), (1, 3), 1),
    "a stride beyond the image": ((2, 2, 5, 6), (3, 2, 3, 3), (1 << 30, 1 << 30), ((0, 0), (0, 0)), (1, 1), 1),
    "pixels that no window sees": ((1, 2, 10, 11), (3, 2, 2, 1), (5, 4), ((0, 0), (0, 0)), (1, 1), 1),
}


@pytest.mark.parametrize("tile", split.TILES)
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_every_tile_of_every_pass(monkeypatch, case, tile):
    monkeypatch.setattr(split, "TILES", (tile,))
    check_passes(*case)


@pytest.mark.emulator
@pytest.mark.parametrize("splits", [2, split.FAN, split.FAN + 1, 3 * split.FAN + 5])
def test_parts_of_a_sum_are_added_up_by_the_last_to_arrive(monkeypatch, splits):
    monkeypatch.setattr(split, "BUSY", splits)
    monkeypatch.setattr(conv, "SHORTEST", 1)
    with recording() as launches:
        check_passes((1, 2, splits, 4), (5, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    assert launches[-1].grid == (1, 1, 2 * splits) and launches[-1].kernel == "conv2d_grad_weight_64x64"


def check_passes(x_shape, weight_shape, *geometry):
    """Forward and both gradients against the reference, one launch for each."""
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape) for shape in (x_shape, weight_shape, weight_shape[:1]))
    y = reference.conv2d_forward(x, weight, bias, *geometry)
    grad_out = rng.standard_normal(y.shape)
    check_close(back(conv.conv2d_forward(there(x), there(weight), there(bias), *geometry)), y, 1e-11)
    for name, *handed in (
        ("conv2d_grad_x", grad_out, x.shape, weight, *geometry),
        ("conv2d_grad_weight", grad_out, x, weight.shape, *geometry),
    ):
        moved = [there(each) if isinstance(each, np.ndarray) else each for each in handed]
        check_close(back(getattr(conv, name)(*moved)), getattr(reference, name)(*handed), 1e-11)


def test_tiles_leave_enough_for_a_whole_gpu():
    assert split.best_tile(256, 128 * 64)[:2] == (128, 128)
    assert split.best_tile(256, 128 * 64 - 128)[:2] == (64, 128)
    assert split.best_tile(64, 128 * 128)[:2] == (64, 128)  # half of a higher tile would be empty
    assert split.best_tile(64, 128 * 127)[:2] == (64, 64)
    assert split.best_tile(256, 256, most_splits=32) == (128, 128, (2, 2, 1))
    assert split.best_tile(256, 100, 64) == (128, 128, (1, 2, 64))


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("size, start", [(1, 0), (4, 0), (1030, 0), (1, 2**35 + 3), (5, 2**35 + 3), (1030, 2**35 + 3)])
def test_dropout_draws_the_numbers_of_the_reference(dtype, size, start):
    dropout = importlib.import_module("minicnn.kernels.cuda.dropout")
    key, call = 0xFEDCBA9876543210, 2**33 + 5
    y = dropout.dropout_forward(there(np.ones(size, dtype)), 0.25, key, call, start, None)
    assert np.array_equal(back(y) > 0, philox_uniform(key, call, start, size) >= np.float32(0.25))
