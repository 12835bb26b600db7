"""np.seterr(all="raise") finds what is wrong, and not that small numbers become 0."""

import numpy as np
import pytest

import minicnn.functional as F
from minicnn import Tensor

OPS = {
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, [2]),
    "product": lambda x: x * 1e-38 * 1e-38,
    "linear": lambda x: F.linear(x * 1e-25, Tensor(np.full((2, 3), 1e-25, np.float32))),
}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
def test_underflow_is_no_error(place, op):
    x = place.tensor(np.array([[-200.0, 1e-30, 200.0]], np.float32), requires_grad=True)
    if place.device == "cuda" and op is OPS["linear"]:
        pytest.skip("the second factor of this case is on the processor")
    with np.errstate(all="raise"):
        op(x).sum().backward()


def test_what_is_wrong_is_still_raised():
    with np.errstate(all="raise"):
        for wrong in (lambda x: x.log(), lambda x: (x * -1e30).exp()):
            with pytest.raises(FloatingPointError):
                wrong(Tensor(np.array([-1.0, -2.0], np.float32)))
