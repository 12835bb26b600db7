"""Launches the kernels of conv.py, arithmetic.py and activation.py one after the other; mirrors
minicnn/ops/conv_relu.py. The ReLU writes over what it reads."""

from minicnn.kernels.arguments import takes_bfloat16
from minicnn.precision import BFLOAT16

from . import tensor_conv
from .activation import relu_forward
from .arithmetic import residual_add_forward
from .cast import cast_forward
from .conv import conv2d_forward


@takes_bfloat16
def conv2d_relu_forward(x, weight, bias, stride, padding, dilation, groups, residual):
    """y (N, OC, OH, OW) = max(weight @ im2col(x) + bias + residual, 0)."""
    geometry = stride, padding, dilation, groups
    if residual is not None and x.dtype == BFLOAT16:
        return _rounded_once(x, weight, bias, geometry, residual)
    y = conv2d_forward(x, weight, bias, *geometry)
    y = y if residual is None else residual_add_forward(y, residual)
    return relu_forward(y, y)


def _rounded_once(x, weight, bias, geometry, residual):
    """y of bfloat16 x and residual: the sum is float32 until the end. So the products, of factors that are bfloat16 and
    hence the same in tf32, are made by the kernel for that, whose results are float32."""
    weight = weight[:, : x.shape[1] // geometry[3]]  # without weight_as_factor's channels of zeros
    weight = cast_forward(weight if weight.dtype == BFLOAT16 else cast_forward(weight, BFLOAT16), "float32")
    y = tensor_conv.conv2d_forward(cast_forward(x, "float32"), weight, bias, *geometry, precision="tf32")
    y = residual_add_forward(y, cast_forward(residual, "float32"))
    return cast_forward(relu_forward(y, y), BFLOAT16)
