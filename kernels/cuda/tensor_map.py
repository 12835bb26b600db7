"""Tensor maps: how an array lies in memory, and which boxes of it TMA copies, in 128 bytes that a kernel is handed.

On a GPU they are the driver's secret, and its functions cuTensorMapEncode... write them. For the emulator they have the
same contents in the open (emulator/tensor_map.cuh). What hardware cannot do is an error here, by name, before the
driver says "invalid argument".

Source    NVIDIA, CUDA Driver API, "Tensor Map Object Management"
"""

import ctypes
import functools
import sys

import numpy as np

from minicnn.emulated import EmulatedArray

from .launch import address
from .source import BFLOAT16, STRUCTS, KernelError

ROW = 128  # bytes of a box's row: what swizzling exchanges vectors in
VECTOR = 16  # bytes: addresses and strides are multiples of it
LARGEST_BOX, LARGEST_STEP, CORNERS, FARTHEST_TAP = 256, 8, (-128, 127), 255  # of an axis; corners with two spatial axes
KINDS = {BFLOAT16: 9, np.dtype(np.float32): 7}  # CUtensorMapDataType
SWIZZLE_128, L2_256, PLAIN = 3, 3, 0  # CUtensorMapSwizzle, ...L2promotion; no interleaving, zeros out of bounds


def of_boxes(array, box):
    """The map of an array of which boxes of shape `box` (rows of 128 bytes) are copied to or from shared memory."""
    sizes, strides = _memory(array)
    _check(all(0 < n <= LARGEST_BOX for n in box), f"a box {box} is not between 1 and {LARGEST_BOX} along each axis")
    _check(box[-1] * array.itemsize == ROW, f"a box of {box[-1]} {array.dtype} has no rows of {ROW} bytes")
    if isinstance(array, EmulatedArray):
        return _record(array, sizes, strides, box=box[::-1])
    return _encoded("Tiled", array, sizes, strides, _u32(box[::-1]), _u32([1] * array.ndim))


def of_windows(images, lower, upper, steps, positions, extent=0):
    """The map of images (N, H, W, C) of which a tap of the windows is copied, 64 channels for each of `positions`.

    lower   (h, w) of the first window, from the first pixel: minus the padding
    upper   (h, w) of the last window's place, from the last pixel: the padding minus the extent of the window beyond 1
    steps   (h, w) from a window to the next
    extent  how far a tap will be from where its window begins, at most
    """
    sizes, strides = _memory(images)
    low, high = CORNERS
    _check(extent <= FARTHEST_TAP, f"taps that are {extent} pixels apart; {FARTHEST_TAP} is the most")
    outside = f"windows that begin {lower} from the first pixel, {upper} from the last; it can {low} to {high}"
    _check(all(low <= c <= high for c in (*lower, *upper)), outside)
    _check(all(1 <= s <= LARGEST_STEP for s in steps), f"a stride {steps}; {LARGEST_STEP} is the most")
    channels = ROW // images.itemsize
    lower, upper, steps = lower[::-1], upper[::-1], (1, *steps[::-1], 1)  # w before h, as the axes
    if isinstance(images, EmulatedArray):
        corners = {"lower": lower, "upper": upper, "steps": steps, "windows": 1}
        return _record(images, sizes, strides, box=(channels, positions), **corners)
    corners = ((ctypes.c_int * 2)(*corner) for corner in (lower, upper))
    return _encoded("Im2col", images, sizes, strides, *corners, *map(ctypes.c_uint, (channels, positions)), _u32(steps))


def _memory(array):
    """(sizes, strides in bytes but that of the numbers of a row), both of the fastest axis first."""
    *strides, last = array.strides
    _check(array.size > 0, f"an array of shape {array.shape}")
    aligned = not any(n % VECTOR for n in (*strides, address(array)))
    _check(
        aligned and last == array.itemsize, f"rows that begin at no multiple of {VECTOR} bytes: strides {array.strides}"
    )
    return array.shape[::-1], strides[::-1]


def _check(condition, what):
    if not condition:
        raise KernelError(f"TMA cannot copy {what}; another kernel can")


def _record(array, sizes, strides, **fields):
    """What the emulator takes."""
    values = {"address": address(array), "sizes": sizes, "strides": strides, "axes": array.ndim, **fields}
    record = np.zeros((), STRUCTS["TensorMap"])
    record["itemsize"], record["swizzle"] = array.itemsize, SWIZZLE_128
    for name, value in values.items():
        target = record[name]
        target[...] = 0
        if target.ndim:
            target[: len(value)] = value
        else:
            record[name] = value
    return record[()]


def _encoded(kind, array, sizes, strides, *geometry):
    """What the driver makes."""
    size = STRUCTS["TensorMap"].itemsize
    buffer = (ctypes.c_char * (size + 64))()
    start = -ctypes.addressof(buffer) % 64  # it wants it at a multiple of 64
    place = ctypes.c_void_p(ctypes.addressof(buffer) + start)
    memory = ctypes.c_void_p(address(array)), _u64(sizes), _u64(strides)
    modes = PLAIN, SWIZZLE_128, L2_256, PLAIN
    status = getattr(_driver(), f"cuTensorMapEncode{kind}")(
        place, KINDS[array.dtype], ctypes.c_uint(array.ndim), *memory, *geometry, *modes
    )
    if status:
        raise KernelError(f"cuTensorMapEncode{kind} of an array of shape {array.shape} gives CUDA error {status}")
    return np.frombuffer(buffer, STRUCTS["TensorMap"], count=1, offset=start)[0]


@functools.cache
def _driver():
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


def _u32(values):
    return (ctypes.c_uint32 * len(values))(*values)


def _u64(values):
    return (ctypes.c_uint64 * len(values))(*values)
