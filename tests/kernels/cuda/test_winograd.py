"""Winograd's convolutions on the GPU: every tile of the product, edges, parts of a batch, how much they round."""

import numpy as np
import pytest
from checks import Place, check_close, needs_compiler
from real_gpu import back, there

from minicnn.kernels.cuda import conv, split, winograd
from minicnn.kernels.cuda.emulator.recording import recording
from minicnn.ops import conv as reference

pytestmark = [needs_compiler, pytest.mark.gpu]

CASES = {  # x, filters, padding
    "rows of 16 bytes": ((2, 5, 7, 8), 6, ((1, 1), (1, 1))),
    "tiles beyond the edges": ((3, 9, 9, 6), 3, ((1, 1), (1, 1))),
    "no padding": ((1, 3, 6, 11), 4, ((0, 0), (0, 0))),
    "uneven padding": ((2, 4, 5, 5), 7, ((2, 0), (0, 1))),
    "two tiles of the product each way": ((9, 3, 13, 15), 130, ((1, 1), (1, 1))),
}


@pytest.fixture(autouse=True)
def gpu():
    with Place("cuda", "fast").active():
        yield


def arrays(x_shape, filters, padding, dtype=np.float64):
    """x, weight, bias and grad_out, at random, and the geometry."""
    rng, (n, channels, *size) = np.random.default_rng(0), x_shape
    out_size = [s + sum(p) - 2 for s, p in zip(size, padding, strict=True)]
    shapes = x_shape, (filters, channels, 3, 3), (filters,), (n, filters, *out_size)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes], ((1, 1), padding, (1, 1), 1)


def check_passes(case, tolerance=1e-11):
    (x, weight, bias, grad_out), geometry = arrays(*case)
    padding, out_size = geometry[1], grad_out.shape[2:]
    y = winograd.conv2d_forward(there(x), there(weight), there(bias), out_size, padding)
    check_close(back(y), reference.conv2d_forward(x, weight, bias, *geometry), tolerance)
    grad_x = winograd.conv2d_grad_x(there(grad_out), x.shape[2:], there(weight), padding)
    check_close(back(grad_x), reference.conv2d_grad_x(grad_out, x.shape, weight, *geometry), tolerance)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_equals_the_reference(case):
    check_passes(case)


@pytest.mark.parametrize("tile", split.TILES[:2])
def test_every_tile(monkeypatch, tile):
    monkeypatch.setattr(split, "TILES", (tile,))
    check_passes(((2, 9, 9, 12), 70, ((1, 1), (1, 1))))


@pytest.mark.emulator
def test_a_batch_in_parts(monkeypatch):
    """Seven images, of which three may be transformed at once: 3, 3 and 1; filters are transformed once."""
    (x, weight, bias, grad_out), geometry = arrays((7, 4, 6, 6), 5, ((1, 1), (1, 1)))
    monkeypatch.setattr(winograd, "SCRATCH_BYTES", 3 * 36 * (4 + 5) * 4 * 8)
    with recording() as launches:
        y = winograd.conv2d_forward(there(x), there(weight), there(bias), grad_out.shape[2:], geometry[1])
    assert [launch.grid[0] for launch in launches if launch.kernel == "winograd_spread"] == [2, 1, 1]
    assert len(launches) == 6
    check_close(back(y), reference.conv2d_forward(x, weight, bias, *geometry), 1e-11)


@pytest.mark.parametrize("direction", ["forward", "grad_x"])
def test_rounding(direction):
    """In float32 no number is further from float64's than 1e-5 of the largest, as on the processor."""
    (x, weight, bias, grad_out), geometry = arrays((1, 128, 8, 8), 32, ((1, 1), (1, 1)), np.float32)
    x64, weight64, bias64, grad64 = (array.astype(float) for array in (x, weight, bias, grad_out))
    if direction == "forward":
        value = winograd.conv2d_forward(there(x), there(weight), there(bias), (8, 8), geometry[1])
        expected = reference.conv2d_forward(x64, weight64, bias64, *geometry)
    else:
        value = winograd.conv2d_grad_x(there(grad_out), (8, 8), there(weight), geometry[1])
        expected = reference.conv2d_grad_x(grad64, x.shape, weight64, *geometry)
    assert back(value).dtype == np.float32
    assert np.abs(back(value) - expected).max() < 1e-5 * np.abs(expected).max()


def test_images_do_not_change_each_others_results():
    (x, weight, _, _), geometry = arrays((3, 4, 6, 6), 5, ((1, 1), (1, 1)))
    x[1, 2, 3, 3] = np.nan
    y = back(winograd.conv2d_forward(there(x), there(weight), None, (6, 6), geometry[1]))
    assert np.isfinite(y[[0, 2]]).all() and np.isnan(y[1, :, 2:5, 2:5]).all()


@pytest.mark.parametrize(
    "change, paid",
    [
        ({}, True),
        ({"images": 2}, False),  # too few thread blocks
        ({"weight_shape": (32, 32, 3, 3)}, False),  # too few channels
        ({"weight_shape": (64, 64, 5, 5)}, False),
        ({"stride": (2, 1)}, False),
        ({"dilation": (1, 2)}, False),
        ({"groups": 2}, False),
        ({"padding": ((1, 3), (1, 1))}, False),
        ({"out_size": (4096, 4096)}, False),  # an image larger than the scratch
    ],
)
def test_where_it_is_chosen(change, paid):
    given = {"images": 8, "weight_shape": (64, 64, 3, 3), "out_size": (28, 28)}
    given |= {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1} | change
    geometry = given["stride"], given["padding"], given["dilation"], given["groups"]
    assert winograd.pays(given["images"], given["weight_shape"], given["out_size"], geometry) == paid


@pytest.mark.emulator
@pytest.mark.parametrize("dtype, kernels", [(np.float32, 2), (np.float64, 1)])
def test_convolutions_take_it_in_float32(monkeypatch, dtype, kernels):
    monkeypatch.setattr(split, "BUSY", 1)
    monkeypatch.setattr(winograd, "WORTH", 0)
    (x, weight, bias, grad_out), geometry = arrays((1, 4, 8, 8), 5, ((1, 1), (1, 1)), dtype)
    with recording() as launches:
        y = conv.conv2d_forward(there(x), there(weight), there(bias), *geometry)
        grad_x = conv.conv2d_grad_x(there(grad_out), x.shape, there(weight), *geometry)
    assert len(launches) == 2 * kernels
    check_close(back(y), reference.conv2d_forward(x, weight, bias, *geometry), 1e-4)
    check_close(back(grad_x), reference.conv2d_grad_x(grad_out, x.shape, weight, *geometry), 1e-4)
