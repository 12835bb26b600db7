"""Counters of thread blocks that have arrived (arrivals.cuh): 0 before each launch, and 0 again after it."""

import functools
import threading

import numpy as np

from minicnn.capture import recording
from minicnn.device import array_module
from minicnn.emulated import EmulatedArray, on_device

COUNTERS = 4096  # how many a launch can have
OF_THREAD = 2  # CUDA's name for a default stream that is another one in each thread

_lock = threading.Lock()


def arrivals(like, count):
    """At least `count` counters, on the device of `like`; ValueError if that is more than COUNTERS.

    On a GPU those of the current stream, where one launch follows the other, or of the CUDA graph that is captured:
    nothing is allocated or set to 0 again.
    """
    if count > COUNTERS:
        raise ValueError(f"arrivals: {count} counters for one launch; there are {COUNTERS}")
    if isinstance(like, EmulatedArray):
        return on_device(np.zeros(count, np.uint32))  # new ones: a launch that was given up leaves them as they were
    if graph := recording():
        return graph.once("arrivals", None, lambda: graph.upload(np.zeros(COUNTERS, np.uint32)))
    cuda = array_module(like).cuda
    stream = cuda.get_current_stream().ptr
    with _lock:  # a cache alone may call its function twice, for two threads that ask at once
        return _counters(like.device.id, stream, threading.get_ident() if stream == OF_THREAD else None)


@functools.cache
def _counters(device, stream, thread):
    import cupy  # an optional package: whoever comes here has an array of it

    return cupy.zeros(COUNTERS, "uint32")
