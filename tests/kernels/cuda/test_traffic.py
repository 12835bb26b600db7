"""What the kernels' comments say of their requests to global memory, counted by the emulator."""

import ml_dtypes
import numpy as np
import pytest
from checks import Place, needs_compiler

from minicnn.emulated import on_device
from minicnn.kernels.cuda import activation, adaptive_avg_pool, arithmetic, dropout, lrn, max_pool
from minicnn.kernels.cuda.emulator.recording import recording, requests, sectors
from minicnn.kernels.cuda.layout import channels_last
from minicnn.ops.windows import Windows

pytestmark = needs_compiler
RNG = np.random.default_rng(0)


def normal(*shape):
    return on_device(RNG.standard_normal(shape).astype(np.float32))


def traffic(function, *arguments):
    """{array: (requests, sectors)} of a function that launches one kernel; of what is written "name =" """
    with Place("cuda", "fast").active(), recording() as launches:
        function(*arguments)
    (launch,) = launches
    found = {}
    for name in launch.names:
        for rows, key in ((launch.reads(name), name), (launch.writes(name), f"{name} =")):
            if len(rows):
                found[key] = len(np.unique(requests(rows))), sectors(rows)
    return found


X = normal(20_000)  # 2,500 sectors
VECTORS = 157, 2500


@pytest.mark.parametrize(
    "function, arguments, expected",
    [
        (activation.relu_forward, [X, None], {"x": VECTORS, "y =": VECTORS}),
        (activation.relu_backward, [normal(20_000), X], {"y": VECTORS, "grad_out": VECTORS, "grad_x =": VECTORS}),
        (arithmetic.residual_add_forward, [X, normal(20_000)], {"a": VECTORS, "b": VECTORS, "y =": VECTORS}),
        (dropout.dropout_forward, [X, 0.5, 1, 2, 0, None], {"x": VECTORS, "y =": VECTORS}),
        (dropout.dropout_forward, [X, 0.5, 1, 2, 3, None], {"x": (625, 2500), "y =": (625, 2500)}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_sector_is_fetched_once(function, arguments, expected):
    assert traffic(function, *arguments) == expected


IMAGES, NORM = normal(2, 32, 13, 13), (5, 1e-4, 0.75, 2.0, 1)


def test_a_response_is_normalised_with_few_requests():
    def asked(function, *arguments):
        return sum(requests for requests, _ in traffic(function, *arguments).values())

    assert asked(lrn.local_response_norm_forward, IMAGES, *NORM) == 818
    assert asked(lrn.local_response_norm_backward, normal(2, 32, 13, 13), IMAGES, *NORM) == 1422


def test_whole_images_are_averaged_by_neighbours():
    asked, fetched = traffic(adaptive_avg_pool.adaptive_avg_pool2d_forward, normal(2, 64, 7, 7), (1, 1))["x"]
    assert 3.9 < fetched / asked < 4


@pytest.mark.parametrize("dtype, vector", [(ml_dtypes.bfloat16, 8), (np.float32, 4)])
def test_a_window_of_channels_last_images_is_read_in_whole_sectors(dtype, vector):
    """Windows of 2 x 2 side by side see each pixel once."""
    x = channels_last(normal(2, 32, 8, 8).astype(dtype))
    windows = Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (4, 4))
    found = traffic(max_pool.max_pool2d_forward_and_winners, x, windows)
    threads, sector = 2 * 32 * 4 * 4 // vector, 32 // np.dtype(dtype).itemsize  # in numbers
    assert found["x"] == (4 * threads // 32, x.size // sector)
    assert found["y ="] == (threads // 32, x.size // 4 // sector)
    assert found["winners ="] == (threads // 32, x.size // 4 // 32)  # a byte each
