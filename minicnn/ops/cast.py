"""Another float dtype: float32, float64 or bfloat16.

Shapes    x (any)   ->   y (the same)
Forward   y = x, rounded to the nearest number of the dtype, to the even one of two
Backward  grad_x = grad_out, in x's dtype
Saves     nothing
Use       In precision "bfloat16" (``minicnn/precision.py``) convolutions and linear layers cast their input first
Mirrors   kernels/cpu/cast.py   kernels/numba_cuda/cast.py   kernels/cuda/cast.cu
Test      tests/ops/test_cast.py
"""

import numpy as np

from ..autograd import Function
from ..precision import BFLOAT16, current_precision, takes_bfloat16
from ..types import Array, DTypeLike
from ..variable import V


def cast(input: V, dtype: DTypeLike) -> V:
    """`input`, of floats, in the float dtype `dtype`: a copy, also where it has that dtype. The gradient comes back in
    the input's own."""
    return Cast.apply(input, dtype=np.dtype(dtype))


def as_factor(input: V) -> V:
    """What a product multiplies by its weights: `input`; a float32 one as bfloat16, where that is the precision."""
    is_cast = input.data.dtype == np.float32 and current_precision() == "bfloat16"
    return cast(input, BFLOAT16) if is_cast else input


class Cast(Function):
    takes_bfloat16 = True

    def forward(self, x, dtype):
        self.dtype = x.dtype  # for backward
        return self.converted(x, dtype)

    def backward(self, grad_out):
        return self.converted(grad_out, self.dtype)

    def converted(self, x: Array, dtype: np.dtype) -> Array:
        """x in that dtype."""
        if BFLOAT16 not in (x.dtype, dtype) or x.dtype == dtype:  # either array library does it as it should
            return x.astype(dtype)
        x = x.astype(np.float32) if x.dtype.kind in "iub" else x
        return self.run(cast_forward, x, dtype)


@takes_bfloat16
def cast_forward(x: Array, dtype: np.dtype) -> Array:
    """y = x in that dtype; one of the two is bfloat16."""
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are what they are
        return x.astype(dtype)
