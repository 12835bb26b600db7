"""How CuPy's arrays get into Numba's launches.

``cuda.as_cuda_array`` makes one of Numba's own arrays, and Numba then works out its type, at every launch: that takes
longer than all the rest. A launch here knows dtype, axes and order already (launch.py has looked), so it hands over the
type, which is made once, and the numbers that a kernel takes for an array.
"""

import functools

import numba
from numba import types


class Lent:
    """An array of CuPy's, C-contiguous, for a launch: ``_numba_type_`` is where Numba looks for its type."""

    __slots__ = ("_numba_type_", "numbers", "row")

    def __init__(self, array):
        self._numba_type_, self.row = _types(array.dtype, array.ndim)
        # who owns the memory (twice: nobody here), its size, address, shape and strides: the fields of Numba's arrays
        memory = 0, 0, array.size, array.dtype.itemsize, array.data.ptr
        self.numbers = *memory, *array.shape, *array.strides


@functools.cache
def _types(dtype, axes):
    """(Numba's type of such an array, that of the numbers that are handed over for it)."""
    return types.Array(numba.from_dtype(dtype), axes, "C"), types.UniTuple(types.int64, 5 + 2 * axes)


class Handover:
    """What Numba asks about each argument before it hands it over."""

    @staticmethod
    def prepare_args(kind, value, stream, retr):
        """(type, value) in the place of these. None is an address, 8 bytes, that the kernel does not look at: Numba
        compiles kernels for it, but a launch refuses it."""
        if type(value) is Lent:
            return value.row, value.numbers
        return (types.int64, 0) if value is None else (kind, value)
