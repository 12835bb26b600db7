"""A stand-in for CuPy, as far as a launch knows it: arrays without memory, GPUs that only have numbers."""

import contextlib
import sys
import types

import pytest

import minicnn.device  # noqa: F401  it remembers CuPy's module


class Device(int):
    """cupy.cuda.Device."""

    id = property(int)

    def __str__(self):
        return f"<CUDA Device {int(self)}>"


class Data:
    """The memory of an array."""

    def __init__(self, device_id, ptr):
        self.device_id, self.ptr = device_id, ptr


class ndarray:
    """cupy.ndarray: of a NumPy array all but the numbers."""

    __cuda_array_interface__ = property(lambda self: {})

    def __init__(self, array, gpu=0):
        self.dtype, self.shape, self.strides, self.size, self.ndim = (
            getattr(array, name) for name in ("dtype", "shape", "strides", "size", "ndim")
        )
        self.flags = types.SimpleNamespace(c_contiguous=array.flags.c_contiguous)  # writeable: CuPy's have no such flag
        self._c_contiguous = array.flags.c_contiguous
        self.data, self.device, self._array = Data(gpu, array.ctypes.data), Device(gpu), array

    def copy(self, order):
        """Without gaps."""
        return type(self)(self._array.copy(order), self.data.device_id)


class CUDADriverError(RuntimeError):
    """What CuPy raises when a launch fails."""


class CUDARuntimeError(RuntimeError):
    """What CuPy raises when it waits, and a kernel has failed."""


def module(faults=()):
    """A module `cupy`. faults: what the next waits for a stream raise, one after the other; None: nothing."""
    waits, cupy = iter(faults), types.ModuleType("cupy")
    cupy.waited = 0

    def synchronize():
        cupy.waited += 1
        if fault := next(waits, None):
            raise CUDARuntimeError(fault)

    stream = types.SimpleNamespace(synchronize=synchronize, is_capturing=lambda: False, ptr=0)
    cupy.ndarray = type("ndarray", (ndarray,), {})
    cupy.cuda = types.ModuleType("cupy.cuda")
    cupy.cuda.Device = lambda number=0: Device(number)
    cupy.cuda.runtime = types.ModuleType("cupy.cuda.runtime")
    cupy.cuda.runtime.getDevice, cupy.cuda.runtime.getDeviceCount = lambda: 0, lambda: 2
    cupy.cuda.runtime.CUDARuntimeError = CUDARuntimeError
    cupy.cuda.driver = types.SimpleNamespace(CUDADriverError=CUDADriverError)
    cupy.cuda.get_current_stream = lambda: stream
    return cupy


@contextlib.contextmanager
def installed(faults=()):
    """``with installed() as cupy:`` imports of CuPy find the stand-in inside."""
    cupy, imported = module(faults), sys.modules["minicnn.device"]._cupy
    imported.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cupy", "cupy.cuda", "cupy.cuda.runtime"):
            found = cupy
            for part in name.split(".")[1:]:
                found = getattr(found, part)
            patch.setitem(sys.modules, name, found)
        try:
            yield cupy
        finally:
            imported.cache_clear()
