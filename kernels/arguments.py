"""What a kernel is handed, in either language: the checks that a GPU does not make, and arrays of the right kind."""

import math
import numbers

import numpy as np

from minicnn.device import array_module, device_of
from minicnn.emulated import EmulatedArray, on_device


def check_array(what, value, dtype):
    """TypeError or ValueError, beginning with `what`, unless `value` is a C-contiguous array of that dtype on a GPU."""
    if not hasattr(value, "dtype") or not hasattr(value, "flags"):
        raise TypeError(f"{what} takes an array, got a {type(value).__name__}")
    if device_of(value) != "cuda":
        raise TypeError(f"{what} takes an array on device 'cuda', got one on 'cpu'; move it with to_device")
    if value.dtype != dtype:
        raise TypeError(f"{what} takes {dtype}, got an array of {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{what} takes a C-contiguous array, got shape {value.shape} with strides {value.strides}")


def check_one_gpu(what, arrays):
    """ValueError, beginning with `what`, unless all arrays are on the same GPU, and it is CuPy's current one."""
    if len({str(getattr(a, "device", None)) for a in arrays}) > 1:
        raise ValueError(f"{what}: the arrays are on several GPUs: {', '.join(str(a.device) for a in arrays)}")
    gpu = getattr(arrays[0], "device", None)
    if hasattr(gpu, "id"):
        import cupy  # an optional package: whoever comes here has an array of it

        if gpu != cupy.cuda.Device():
            raise ValueError(
                f"{what}: the arrays are on {gpu}, but {cupy.cuda.Device()} is the current GPU; put the call into "
                f"`with cupy.cuda.Device({gpu.id}):`"
            )


def check_alike(what, first, *others):
    """ValueError, beginning with `what`, unless each of the lists `others` has an array (or None) for each of `first`,
    of its shape and dtype: kernels that go by the size of the one read the others that far, too."""
    for number, (array, *partners) in enumerate(zip(first, *others, strict=True)):
        for other in partners:
            if other is not None and not (other.shape == array.shape and other.dtype == array.dtype):
                raise ValueError(
                    f"{what}: at {number}, arrays of shapes {array.shape} and {other.shape}, {array.dtype} and "
                    f"{other.dtype}, cannot be taken together"
                )


def check_positions(x_shape, y_shape):
    """ValueError unless all pixels of the images of one channel, and all windows, can be counted by an int."""
    n, positions = x_shape[0], max(math.prod(shape[2:]) for shape in (x_shape, y_shape))
    if n * positions >= 2**31:
        raise ValueError(f"conv2d: {n} images of {positions} positions are too many for one call; take fewer at a time")


def number(what, dtype, value):
    """`value` as a number of that dtype; TypeError or ValueError, beginning with `what`, if it is none."""
    if isinstance(value, np.ndarray) or not isinstance(value, (numbers.Real, np.bool_)):
        raise TypeError(f"{what} takes a number, got a {type(value).__name__}")
    if dtype.kind == "f":
        return dtype.type(value)
    if not isinstance(value, (numbers.Integral, np.bool_)):
        raise TypeError(f"{what} takes a whole number, got {value!r}")
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not low <= int(value) <= high:
        raise ValueError(f"{what} takes {low} to {high}, got {value}")
    return dtype.type(int(value))


def contiguous(array):
    """`array`, or a C-contiguous copy of it; None stays None."""
    return array if array is None or array.flags.c_contiguous else array.copy(order="C")


def empty(like, shape, dtype=None):
    """An array of that shape with any content, on the device (and, by default, of the dtype) of `like`."""
    array = array_module(like).empty(shape, dtype or like.dtype)
    return on_device(array) if isinstance(like, EmulatedArray) else array
