"""bfloat16 for the way from GPU to GPU: the upper half of a float32's bits, rounded to nearest, ties to even.

Half the bytes, the range of float32, 8 binary digits: a relative error of at most 2^-8 a rounding. A NaN stays one.
NumPy and CuPy have no such dtype; the bits travel as uint16, and NCCL is told what they mean.

On a GPU each direction is one kernel, which reads and writes every number once; on emulated arrays it is arithmetic on
the bits, the same to the bit.
"""

import functools
from typing import Any

import numpy as np

from ..device import device_of
from ..emulated import EmulatedArray, on_device
from ..types import Array

# 0x7FFF and one more if the last digit that stays is odd: the carry rounds up what lies above half, and half to even
PACK = "y = isnan(x) ? 0x7FC0 : (__float_as_uint(x) + 0x7FFF + ((__float_as_uint(x) >> 16) & 1)) >> 16"
UNPACK = "y = __uint_as_float((unsigned int)x << 16)"


def check_send(array: Array, send: str, setting: str = "start_sum: send") -> None:
    """ValueError or TypeError, which names the setting, unless `array` can be sent as that: as "float32", which is as
    it is, or as "bfloat16"."""
    if send == "float32":
        return
    if send != "bfloat16":
        raise ValueError(f"{setting} must be 'float32' or 'bfloat16', not {send!r}")
    name = setting.rpartition(" ")[2]
    if array.dtype != np.float32:
        raise TypeError(f"{setting}='bfloat16' is for float32 arrays, this one is {array.dtype}; leave {name} out")
    if device_of(array) == "cpu":
        why = "on the processor, rounding takes longer than to send twice as much"
        raise ValueError(f"{setting}='bfloat16' is for arrays on device 'cuda'; {why}; leave {name} out")


def pack(array: Array) -> Array:
    """The float32 array on "cuda", rounded to bfloat16: uint16, of its shape."""
    if not isinstance(array, EmulatedArray):
        return _kernel("float32 x", "uint16 y", PACK, "minicnn_pack_bfloat16")(array)
    bits = np.asarray(array).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return on_device(np.where(np.isnan(array.view(np.ndarray)), 0x7FC0, rounded).astype(np.uint16))


def unpack(bits: Array, out: Array) -> None:
    """Write what the bits of bfloat16 stand for into `out`, float32 of their shape."""
    if not isinstance(out, EmulatedArray):
        _kernel("uint16 x", "float32 y", UNPACK, "minicnn_unpack_bfloat16")(bits, out)
    else:
        out[...] = (bits.astype(np.uint32) << 16).view(np.float32)


@functools.cache
def _kernel(takes: str, gives: str, code: str, name: str) -> Any:
    import cupy  # an optional package: whoever comes here has an array of it

    return cupy.ElementwiseKernel(takes, gives, code, name)
