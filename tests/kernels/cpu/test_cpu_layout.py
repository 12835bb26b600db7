"""Channels-last behind (N, C, H, W) shapes: views where it lies so already, copies of everything else."""

import numpy as np
import pytest

import minicnn
import minicnn.functional as F
from minicnn import Tensor
from minicnn.kernels.cpu import activation, arithmetic, dropout
from minicnn.kernels.cpu.machine import layout

IMAGES = np.arange(2 * 70 * 9 * 40, dtype=np.float32).reshape(2, 70, 9, 40)  # more than two tiles of channels
READ_ONLY = IMAGES.copy()
READ_ONLY.flags.writeable = False
LAST = np.moveaxis(np.ascontiguousarray(np.moveaxis(IMAGES, 1, -1)), -1, 1)
LAYOUTS = {
    "C order": IMAGES,
    "channels-last": LAST,
    "Fortran order": np.asfortranarray(IMAGES),
    "every second": np.repeat(IMAGES, 2, axis=3)[..., ::2],
    "backwards": IMAGES[:, ::-1].copy()[:, ::-1],
    "read-only": READ_ONLY,
    "other byte positions": np.frombuffer(b"\0" + IMAGES.tobytes(), np.float32, offset=1).reshape(IMAGES.shape),
}
every_layout = pytest.mark.parametrize("x", LAYOUTS.values(), ids=LAYOUTS)


@every_layout
def test_channels_last_and_rows(x):
    last = layout.channels_last(x)
    np.testing.assert_array_equal(last, np.moveaxis(IMAGES, 1, -1))
    assert last.flags.carray
    assert np.may_share_memory(last, x) == (x is LAST)
    np.testing.assert_array_equal(layout.rows(x), np.moveaxis(IMAGES, 1, -1).reshape(-1, 70))
    np.testing.assert_array_equal(layout.behind_channels(last), IMAGES)


@every_layout
@pytest.mark.parametrize("other", LAYOUTS.values(), ids=LAYOUTS)
def test_flat_puts_corresponding_elements_beside_each_other(x, other):
    a, b, y = layout.flat(x, other, layout.empty_like(x))
    assert all(v.ndim == 1 and v.flags.carray for v in (a, b, y))
    np.testing.assert_array_equal(a, b)
    assert sorted(a) == sorted(IMAGES.reshape(-1))
    out = layout.empty_like(x)
    (view,) = layout.flat(out)
    view[...] = a
    np.testing.assert_array_equal(out, IMAGES)


@pytest.mark.parametrize(
    "shape", [(0, 3, 2, 2), (2, 0, 2, 2), (2, 3, 0, 2), (2, 1, 1, 1), (3, 4), (3, 4, 5), (1, 5, 1, 7)]
)
def test_odd_shapes(shape):
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    np.testing.assert_array_equal(layout.channels_last(x), np.moveaxis(x, 1, -1))
    (view,) = layout.flat(x)
    assert view.shape == (x.size,)


@every_layout
def test_relu_in_place_writes_where_the_array_lies(x):
    if x.flags.writeable:
        array = x.copy(order="K") if x.flags.forc else np.repeat(x, 2, axis=3)[..., ::2]
        array -= 1000
        expected = np.maximum(array, 0)
        assert activation.relu_forward(array, array) is array
        np.testing.assert_array_equal(array, expected)
        array -= 1000
        expected = np.where(array > 0, array, array * 2)
        assert activation.leaky_relu_forward(array, 2.0, array) is array
        np.testing.assert_array_equal(array, expected)


@every_layout
def test_dropout_in_place_writes_where_the_array_lies(x):
    if x.flags.writeable:
        array = x.copy(order="K") if x.flags.forc else np.repeat(x, 2, axis=1)[:, ::2]  # flat, it is a copy
        expected = dropout.dropout_forward(IMAGES, 0.5, 1, 2, 3, None)
        assert dropout.dropout_forward(array, 0.5, 1, 2, 3, array) is array
        np.testing.assert_array_equal(array, expected)


@every_layout
def test_a_sum_of_arrays_that_lie_otherwise(x):
    for other in LAYOUTS.values():
        np.testing.assert_array_equal(arithmetic.residual_add_forward(x, other), 2 * IMAGES)


@pytest.mark.parametrize("lies", ["C order", "channels-last"])
def test_a_chain_of_layers_stays_channels_last(lies):
    x, ones = Tensor(LAYOUTS[lies], requires_grad=True), Tensor(np.ones(70, np.float32))
    with minicnn.tier("fast"):
        layers = [
            lambda y: F.batch_norm(y, None, None, ones, ones, training=True),
            F.relu,
            lambda y: F.residual_add(y, y),
            lambda y: F.local_response_norm(y, 5),
            lambda y: F.max_pool2d(y, 3, 2),
            lambda y: F.avg_pool2d(y, 2),
            lambda y: y * 2 + 1,
        ]
        y = x
        for layer in layers:
            y = layer(y)
            assert np.moveaxis(y.data, 1, -1).flags.c_contiguous
        y.backward(Tensor(np.ones(y.shape, np.float32)))
    assert np.moveaxis(x.grad.data, 1, -1).flags.c_contiguous
