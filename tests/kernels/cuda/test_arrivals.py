"""The counters of arrivals.py."""

import numpy as np
import pytest
from checks import raises

from minicnn.emulated import on_device
from minicnn.kernels.cuda import arrivals


@pytest.mark.parametrize("count", [1, arrivals.COUNTERS])
def test_counters_are_zero(count):
    counters = arrivals.arrivals(on_device(np.ones(3)), count)
    assert counters.dtype == np.uint32 and len(counters) >= count and not counters.any()


def test_no_more_than_there_are():
    with raises(ValueError, "arrivals", f"{arrivals.COUNTERS + 1} counters", f"there are {arrivals.COUNTERS}"):
        arrivals.arrivals(on_device(np.ones(3)), arrivals.COUNTERS + 1)
