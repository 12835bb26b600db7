"""2-D convolution, the sum with a residual, and ReLU, in one op: how a block of a network for inference ends.

    x ──► conv ──► + ──► relu ──► y         batch norm is gone: nn/fuse.py has put it into weight and bias
    residual ──────┘

On their own, the sum and the ReLU would read the convolution's result again from memory, and write it, twice. A kernel
that does them where it stores its sums (its epilogue) saves that: for one picture at a time, a layer's result is
about as many bytes as its weights, and each pass over it counts.

Shapes    x, weight, bias as in conv.py   residual (N, OC, OH, OW) or None   ->   y (N, OC, OH, OW)
Forward   y = max(conv2d(x, weight, bias) + residual, 0)
Backward  behind = grad_out where y > 0, else 0 (also at y = 0; NaN lets it through, as in activation.py)
          grad_x, grad_weight, grad_bias are conv.py's of `behind`     grad_residual = behind
Saves     what conv.py saves, and y, which the next layer keeps anyway
Mirrors   kernels/cpu/conv_relu.py   kernels/numba_cuda/conv_relu.py   kernels/cuda/conv_relu.py (backward: those of
          conv.py and activation.py)
Test      tests/ops/test_conv_relu.py
"""

from typing import Any

import numpy as np

from ..precision import float32
from ..types import Array, Shape, Size
from ..variable import V, Variable
from .activation import relu_backward
from .arguments import check_tensors
from .cast import as_factor
from .conv import Conv2d, conv2d_forward
from .conv_arguments import checked_geometry
from .geometry import output_size
from .linear import weight_of_passes


def conv2d_relu(
    input: V,
    weight: Variable,
    bias: Variable | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    residual: Variable | None = None,
) -> V:
    """relu(conv2d(...) + residual); residual: a Tensor of the convolution's shape, or None. The rest is conv2d's."""
    geometry = checked_geometry("conv2d_relu", (input, weight, bias), stride, padding, dilation, groups)
    if residual is not None:
        check_tensors("conv2d_relu", {"residual": residual})
        _check_residual(input.data.shape, weight.data.shape, residual.data.shape, geometry)
    return Conv2dReLU.apply(as_factor(input), weight, bias, residual, **geometry)


class Conv2dReLU(Conv2d):
    def forward(self, x, weight, bias, residual, stride, padding, dilation, groups):
        factor = weight_of_passes(self, x, weight, may_be_filled=True)
        self.geometry = stride, padding, dilation, groups
        y = self.run(conv2d_relu_forward, x, factor, bias, *self.geometry, residual)
        self.save_for_backward(x, weight, factor, y)  # y tells where the ReLU lets gradients through
        return y

    def backward(self, grad_out):
        behind = self.run(relu_backward, grad_out, self.saved[-1])  # the gradient behind the ReLU
        return *super().backward(behind), behind if self.needs_input_grad[3] else None


@float32(factors=(1,))
def conv2d_relu_forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Shape,
    padding: Any,
    dilation: Shape,
    groups: int,
    residual: Array | None,
) -> Array:
    """y (N, OC, OH, OW) = max(weight @ im2col(x) + bias + residual, 0)."""
    y = conv2d_forward(x, weight, bias, stride, padding, dilation, groups)
    if residual is not None:
        y += residual
    return np.maximum(y, 0, out=y)  # y is this function's own array; NaN stays NaN


def _check_residual(x, weight, residual, geometry):
    """ValueError unless these are the shapes of a convolution and of what is added to its result."""
    sides = geometry["stride"], geometry["padding"], geometry["dilation"]
    shape = (x[0], weight[0], *output_size("conv2d_relu", x[2:], weight[2:], *sides))
    if residual != shape:
        what = f"conv2d_relu: the convolution gives {shape}, residual is {residual}; they must have one shape"
        raise ValueError(f"{what}; give the shortcut a projection")
