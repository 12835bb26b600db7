"""What the kernels' comments say of their requests to global memory, counted by the emulator."""

import numpy as np
import pytest
from checks import Place, needs_compiler

from minicnn.emulated import on_device
from minicnn.kernels.cuda import activation, arithmetic, dropout
from minicnn.kernels.cuda.emulator.recording import recording, requests, sectors

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
