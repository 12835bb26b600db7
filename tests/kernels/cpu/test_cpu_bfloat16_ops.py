"""Ops on bfloat16 arrays in the processor's fast tier: the page's float32 results rounded once, wherever they lie."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import minicnn
import minicnn.functional as F
from minicnn import Tensor, autograd, contract, nn, precision, tier
from minicnn.kernels.cpu.machine import elementwise, threads
from minicnn.models.resnet import BasicBlock, Bottleneck
from minicnn.ops.cast import cast_forward
from minicnn.ops.interpolate import axis
from minicnn.ops.max_pool import max_pool2d_forward_and_winners
from minicnn.ops.windows import Windows
from minicnn.precision import BFLOAT16, wide, widened

SHAPE = 3, 40, 7, 6
WEIGHT, BIAS, MEAN, INV_STD = np.random.default_rng(1).uniform(0.5, 2, (4, SHAPE[1])).astype("f")

OVERLAPPING = Windows((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (4, 3))  # every pixel but a few is in several
TWICE = [axis(7, 14, None, "bilinear", False, "f"), axis(6, 11, None, "bilinear", False, "f")]  # or nearly so

# of each function, the stem of its page and its arguments for images x, g, r of one shape
CASES = {
    "relu_forward": ("activation", lambda x, g, r: (x, None)),
    "relu_backward": ("activation", lambda x, g, r: (g, x)),
    "leaky_relu_forward": ("activation", lambda x, g, r: (x, 0.3, None)),
    "leaky_relu_backward": ("activation", lambda x, g, r: (g, x, 0.3)),
    "relu6_forward": ("activation", lambda x, g, r: (x * 4, None)),
    "relu6_backward": ("activation", lambda x, g, r: (g, x * 4)),
    "sigmoid_forward": ("activation", lambda x, g, r: (x,)),
    "sigmoid_backward": ("activation", lambda x, g, r: (g, x)),
    "tanh_forward": ("activation", lambda x, g, r: (x,)),
    "tanh_backward": ("activation", lambda x, g, r: (g, x)),
    "residual_add_forward": ("arithmetic", lambda x, g, r: (x, g)),
    "batch_norm_statistics": ("batchnorm", lambda x, g, r: (x, None, 0.1, 1e-5)),
    "batch_norm_forward": ("batchnorm", lambda x, g, r: (x, WEIGHT, BIAS, MEAN, INV_STD)),
    "batch_norm_relu_forward": ("batchnorm", lambda x, g, r: (x, WEIGHT, BIAS, MEAN, INV_STD, r)),
    "batch_norm_grad_weight_bias": ("batchnorm", lambda x, g, r: (g, x, MEAN, INV_STD)),
    "batch_norm_grad_x": ("batchnorm", lambda x, g, r: (g, x, WEIGHT, MEAN, INV_STD, (BIAS, WEIGHT))),
    "batch_norm_relu_backward": (
        "batchnorm", lambda x, g, r: (g, x, r, WEIGHT, BIAS, (MEAN, INV_STD), True, True),
    ),
    "batch_norm_moments": ("sync_batchnorm", lambda x, g, r: (x,)),
    "max_pool2d_forward": ("max_pool", lambda x, g, r: (x, OVERLAPPING)),
    "max_pool2d_forward_and_winners": ("max_pool", lambda x, g, r: (x, OVERLAPPING)),
    "max_pool2d_backward": ("max_pool", lambda x, g, r: (pooled(g), winners(x), x.shape, OVERLAPPING)),
    "avg_pool2d_forward": ("avg_pool", lambda x, g, r: (x, OVERLAPPING, True, None)),
    "avg_pool2d_backward": ("avg_pool", lambda x, g, r: (pooled(g), x.shape, OVERLAPPING, False, None)),
    # without the first image: the page multiplies what a window does not see by 0, and NaN stays
    "adaptive_avg_pool2d_forward": ("adaptive_avg_pool", lambda x, g, r: (x[1:], (3, 4))),
    "adaptive_avg_pool2d_backward": ("adaptive_avg_pool", lambda x, g, r: (pooled(g), x.shape)),
    "dropout_forward": ("dropout", lambda x, g, r: (x, 0.3, 5, 6, 7, None)),
    "pad_forward": ("pad", lambda x, g, r: (x, [(0, 0), (1, 0), (-1, 2), (0, 3)], 0.3)),
    "interpolate_forward": ("interpolate", lambda x, g, r: (x, *TWICE)),
    "interpolate_backward": ("interpolate", lambda x, g, r: (np.tile(g, (1, 1, 2, 2))[..., :11], g.shape, *TWICE)),
    "cross_entropy_forward": ("cross_entropy", lambda x, g, r: (x, targets(x), WEIGHT, -100, 0.1)),
    "cross_entropy_total": ("cross_entropy", lambda x, g, r: (x[1:], targets(x)[1:], None, -100, 0.0, None)),
    "cross_entropy_backward": (
        "cross_entropy",
        lambda x, g, r: (np.float32(2), np.float32(3), wide(x), targets(x), WEIGHT, -100, 0.1, x.dtype),
    ),
    "local_response_norm_forward": ("lrn", lambda x, g, r: (x, 5, 1.0, 0.75, 2.0, 2)),
    "local_response_norm_backward": ("lrn", lambda x, g, r: (g, x, 3, 1.0, 0.6, 2.0, 1)),
}  # fmt: skip

# Functions that get float32 copies of bfloat16 arrays: the list may only become shorter.
WIDENED = {
    "log_softmax_backward", "log_softmax_forward",
    "mse_loss_backward", "mse_loss_forward", "mse_loss_sum", "nll_loss_backward", "nll_loss_forward",
    "smooth_l1_loss_backward", "smooth_l1_loss_forward", "softmax_backward", "softmax_forward",
}  # fmt: skip
OF_CHANNELS = {"batch_norm_running_statistics", "sync_batch_norm_statistics"}  # whose arrays are float32 in any case


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    """Each with a chunk of its own."""
    before = threads.threads()
    monkeypatch.setattr(threads, "LEAST", 1 << 9)
    threads.set_threads(3)
    yield
    threads.set_threads(before)


def images(seed, shape=SHAPE):
    """Random bfloat16 numbers, not a number and infinities among them."""
    x = np.random.default_rng(seed).standard_normal(shape).astype("f")
    x[0, 1, 2, 3:6] = np.nan, np.inf, -np.inf
    x[1, 2, 3, :2] = 0, -0.0
    return x.astype(BFLOAT16)


def targets(x):
    return np.random.default_rng(6).integers(SHAPE[1], size=(len(x), *SHAPE[2:]))


def pooled(x):
    """As many numbers as there are windows."""
    return x[:, :, : OVERLAPPING.out_size[0], : OVERLAPPING.out_size[1]]


def winners(x):
    return max_pool2d_forward_and_winners(wide(x), OVERLAPPING)[1]


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


LAYOUTS = {
    "C order": lambda x: x,
    "channels-last": channels_last,
    "with gaps": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
}
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def mirror(stem, name):
    return getattr(importlib.import_module(f"minicnn.kernels.cpu.{stem}"), name)


def page(stem, name):
    return getattr(importlib.import_module(f"minicnn.ops.{stem}"), name)


def check(found, expected, *, ulps):
    """Each result (of a tuple) in the dtype of the page's, not a number in the same places, and close to it."""
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check(one, other, ulps=ulps)
    elif expected is None:
        assert found is None
    else:
        found, expected = np.asarray(found), np.asarray(expected)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        digit = 2.0**-7 if expected.dtype == BFLOAT16 else 2e-6  # the most that its last digit is of a number
        np.testing.assert_allclose(wide(found), wide(expected), rtol=1.01 * ulps * digit, atol=2e-6)


@every_layout
@pytest.mark.parametrize("name", CASES)
def test_as_the_page_rounded_once(name, layout, monkeypatch):
    monkeypatch.setattr(elementwise, "AT_ONCE", 1000)
    stem, arguments = CASES[name]
    given = arguments(*(LAYOUTS[layout](images(seed)) for seed in (2, 3, 4)))
    reference, function = page(stem, name), mirror(stem, name)
    assert hasattr(function, "takes_bfloat16")
    with np.errstate(all="ignore"):
        expected = widened(reference, reference, given)
        found = function(*given)
    check(found, expected, ulps=1)
    results = [y for y in (found if isinstance(found, tuple) else (found,)) if y is not None and y.shape == SHAPE]
    if layout == "channels-last" and name != "dropout_forward":  # whose numbers are drawn in C order
        assert all(np.moveaxis(y, 1, -1).flags.c_contiguous for y in results), "it lies otherwise"


IN_PLACE = {
    "relu_forward": ("activation", ()),
    "leaky_relu_forward": ("activation", (0.3,)),
    "relu6_forward": ("activation", ()),
    "dropout_forward": ("dropout", (0.3, 5, 6, 7)),
}


@every_layout
@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name, layout):
    """The same bits as in memory of its own, where the array lies."""
    stem, numbers = IN_PLACE[name]
    x, function = LAYOUTS[layout](images(2)), mirror(stem, name)
    expected, strides = function(x, *numbers, None), x.strides
    assert function(x, *numbers, x) is x and x.strides == strides
    np.testing.assert_array_equal(wide(x), wide(expected))


@pytest.mark.parametrize("name", CASES)
def test_no_images(name):
    stem, arguments = CASES[name]
    x = np.zeros((0, *SHAPE[1:]), BFLOAT16)
    reference = page(stem, name)
    given = arguments(x, x, x)
    with np.errstate(all="ignore"):
        check(mirror(stem, name)(*given), widened(reference, reference, given), ulps=0)


@pytest.mark.parametrize("name", ["batch_norm_statistics", "batch_norm_grad_weight_bias"])
def test_sums_over_many_numbers_keep_their_digits(name):
    """Rows of few channels, which are taken together, and 30,000 of them: a bfloat16 sum would stop at 256."""
    stem, _ = CASES[name]
    rng = np.random.default_rng(0)
    x, g = (rng.uniform(1, 2, (3, 4, 100, 100)).astype(BFLOAT16) for _ in range(2))
    given = (x, None, 0.1, 1e-5) if name == "batch_norm_statistics" else (g, x, MEAN[:4], INV_STD[:4])
    reference = page(stem, name)
    check(mirror(stem, name)(*given), widened(reference, reference, given), ulps=10)


@every_layout
def test_a_cast_lies_as_its_input(layout):
    cast = mirror("cast", "cast_forward")
    x = LAYOUTS[layout](images(2).astype("f") * np.float32(1.001))
    narrow = cast(x, BFLOAT16)
    check(narrow, cast_forward(x, BFLOAT16), ulps=0)
    check(cast(narrow, np.dtype("f")), cast_forward(narrow, np.dtype("f")), ulps=0)
    if layout != "with gaps":
        lies = [tuple(s // a.itemsize for s in a.strides) for a in (x, narrow, cast(narrow, np.dtype("d")))]
        assert len(set(lies)) == 1


def test_which_functions_get_float32_copies():
    """So that nobody widens whole arrays unawares."""
    run = [  # the functions that an op's page looks up
        (path.stem, name)
        for path in (Path(minicnn.__file__).parent / "ops").glob("*.py")
        for name in re.findall(r"self\.run\((\w+)", path.read_text())
    ]
    homes = {page(stem, name) for stem, name in run}  # some are another page's
    mirrors = [mirror(function.__module__.rpartition(".")[2], function.__name__) for function in homes]
    unmarked = {function.__name__ for function in mirrors if not hasattr(function, "takes_bfloat16")}
    assert unmarked - OF_CHANNELS == WIDENED


def test_a_training_step_copies_no_array_into_float32(monkeypatch):
    """Of a net with all that AlexNet's and ResNet's layers are made of."""
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2),
        BasicBlock(8, 8, 1, "B", True, False), Bottleneck(8, 4, 2, "B", True, False), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 5),
    )  # fmt: skip
    dtypes = []
    monkeypatch.setattr(autograd, "widened", lambda implementation, reference, arguments: pytest.fail(reference))
    for module in (autograd, contract):
        monkeypatch.setattr(module, "wide", lambda array: dtypes.append(array.dtype) or array)
    with tier("fast"), precision("bfloat16"):
        scores = net(Tensor(np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype("f"), requires_grad=True))
        F.cross_entropy(scores, np.array([1, 2])).backward()
    assert scores.dtype == BFLOAT16 and BFLOAT16 not in dtypes
