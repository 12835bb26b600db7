"""The counters of arrivals.py."""

import threading
import time

import fake_cupy
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


@pytest.fixture
def stream():
    """The current stream of a stand-in for CuPy."""
    with fake_cupy.installed() as cupy:
        cupy.zeros, stream = np.zeros, cupy.cuda.get_current_stream()
        stream.x = cupy.ndarray(np.ones(3))
        yield stream
    arrivals._counters.cache_clear()


@pytest.mark.parametrize(("number", "shared"), [(0, True), (1, True), (arrivals.OF_THREAD, False), (1 << 40, True)])
def test_two_threads_share_the_counters_of_one_stream(stream, monkeypatch, number, shared):
    """CUDA has one name for the default streams of all threads, which run side by side."""
    stream.ptr, both, found = number, threading.Barrier(2), []
    monkeypatch.setattr("cupy.zeros", lambda *kind: (time.sleep(0.05), np.zeros(*kind))[1])  # both are in there, or one

    def ask():
        both.wait(60)  # two threads that live at the same time, so that they differ
        found.append(arrivals.arrivals(stream.x, 1))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found[0] is found[1]) == shared
    stream.ptr = 3
    assert arrivals.arrivals(stream.x, 1) is not found[0]
