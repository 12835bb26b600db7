"""Transposed 2-D convolution: what conv2d does to a gradient on its way back, as a layer of its own. Pictures grow.

conv2d gathers a window of pixels into each output. Here each pixel is strewn over a window of outputs, and where
windows overlap, they add up. That is how conv2d's grad_x arises from its grad_out, so nothing is convolved anew:

    of a convolution that takes y to x                                               of this op
    grad_x = col2im(weight^T @ grad_out)                  conv2d_grad_x         ->   y, of x in grad_out's place
    y      = weight @ im2col(x)                           conv2d_forward        ->   grad_x, of grad_out in x's place
    grad_weight = grad_out @ im2col(x)^T                  conv2d_grad_weight    ->   grad_weight, the two exchanged

If that convolution is a matrix M, y = M^T x: "transposed", not inverted. Hence weight's axes: x is what the convolution
would have made, and x's channels C are its filters.

Shapes    x (N, C, H, W)   weight (C, OC/groups, KH, KW)   bias (OC,) or None   ->   y (N, OC, OH, OW)
          OH = (H - 1)*stride - 2*padding + dilation*(KH-1) + 1 + output_padding, OW likewise
          That is conv2d's formula solved for its input size. With a stride, several sizes lead to the same H, since the
          division drops its remainder: output_padding says which of them is meant
Forward   y[n,o,a,b] = bias[o] + sum of x[n,c,i,j] * weight[c,o,u,v] over all c and all (i,u), (j,v) with
          i*stride + u*dilation = a + padding and j*stride + v*dilation = b + padding

              x (2, 2)    weight (2, 2)    stride 2: windows side by side     stride 1: they overlap
              a b         1 2              1a 2a 1b 2b                        1a   2a+1b       2b
              c d         3 4              3a 4a 3b 4b                        3a+1c 4a+3b+2c+1d 4b+2d
                                           1c 2c 1d 2d                        3c   4c+3d       4d
                                           3c 4c 3d 4d
Backward  grad_x = conv2d(grad_out, weight), without a bias
          grad_weight[c,o,u,v] = sum_{n,i,j} x[n,c,i,j] * grad_out[n,o, i*stride + u*dilation - padding, j*... + v*...]
          grad_bias[o] = sum_{n,a,b} grad_out[n,o,a,b]
Saves     x, weight
Mirrors   kernels/cpu/conv_transpose.py   kernels/numba_cuda/conv_transpose.py   kernels/cuda/conv_transpose.cu
Test      tests/ops/test_conv_transpose.py
Source    Zeiler et al., "Deconvolutional networks", CVPR 2010; Long et al., "Fully convolutional networks for semantic
          segmentation", CVPR 2015, section 3.3
"""

from ..autograd import Function
from ..precision import float32
from ..settings import whole
from ..types import Array, Shape, Size
from ..variable import V, Variable
from .arguments import check_tensors
from .cast import as_factor
from .conv import conv2d_forward, conv2d_grad_bias, conv2d_grad_weight, conv2d_grad_x
from .geometry import check_images, pair
from .linear import weight_of_passes
from .pad import pad


def conv_transpose2d(
    input: V,
    weight: Variable,
    bias: Variable | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> V:
    """The transpose of a convolution, as ``torch.nn.functional.conv_transpose2d`` (formulas: at the top of this file).

    input (N, C, H, W), weight (C, OC/groups, KH, KW), bias (OC,) or None, all of one float dtype
    stride, dilation: int or (height, width), of the convolution that is transposed. padding: the same; so many rows and
    columns are cut off on each side. output_padding: as many are added below and to the right; smaller than the stride
    or the dilation. groups: C and OC are cut into that many groups which do not see each other.
    Returns (N, OC, OH, OW). ValueError where nothing remains of y.
    """
    op = "conv_transpose2d"
    check_tensors(op, {"input": input, "weight": weight}, {"bias": bias})
    groups = whole(op, "groups", groups)
    _check_shapes(input, weight, bias, groups)
    stride, dilation = pair(op, "stride", stride, 1), pair(op, "dilation", dilation, 1)
    padding, more = pair(op, "padding", padding, 0), pair(op, "output_padding", output_padding, 0)
    for name, each, s, d in zip(("height", "width"), more, stride, dilation, strict=True):
        if each >= max(s, d):
            what = (
                f"output_padding must be smaller than the stride or the dilation, which are {s} and {d} of the {name}"
            )
            raise ValueError(f"{op}: {what}, got {each}")
    strides = [each // s for each, s in zip(more, stride, strict=True)]  # not 0 only where the dilation is larger
    if any(strides):  # what such a stride adds to y, a row of zeros behind x adds
        input = pad(input, (0, strides[1], 0, strides[0]))
        more = more[0] % stride[0], more[1] % stride[1]
    out_size = _output_size(input.data.shape[2:], weight.data.shape[2:], stride, padding, dilation, more)
    sides = tuple((p, p) for p in padding)
    geometry = {"stride": stride, "padding": sides, "dilation": dilation, "groups": groups}
    return ConvTranspose2d.apply(as_factor(input), weight, bias, out_size=out_size, **geometry)


class ConvTranspose2d(Function):
    takes_bfloat16 = float32_weights = True

    def forward(self, x, weight, bias, out_size, stride, padding, dilation, groups):
        factor = weight_of_passes(self, x, weight)  # mostly the weight itself
        self.save_for_backward(x, weight, factor)
        self.geometry = stride, padding, dilation, groups
        return self.run(conv_transpose2d_forward, x, factor, bias, out_size, *self.geometry)

    def backward(self, grad_out):
        x, weight, factor = self.saved
        need_x, need_weight, need_bias = self.needs_input_grad
        return (
            self.run(conv2d_forward, grad_out, factor, None, *self.geometry) if need_x else None,
            self.run(conv2d_grad_weight, x, grad_out, weight.shape, *self.geometry) if need_weight else None,
            self.run(conv2d_grad_bias, grad_out) if need_bias else None,
        )


@float32(factors=(1,))
def conv_transpose2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    out_size: Shape,
    stride: Shape,
    padding: Shape,
    dilation: Shape,
    groups: int,
) -> Array:
    """y (N, OC, OH, OW) = col2im(weight^T @ x) + bias."""
    y_shape = len(x), weight.shape[1] * groups, *out_size
    y = conv2d_grad_x(x, y_shape, weight, stride, padding, dilation, groups)
    if bias is not None:
        y += bias.reshape(-1, 1, 1)  # (OC, 1, 1): a channel's bias for each of its pixels
    return y


def _output_size(size, kernel, stride, padding, dilation, more):
    """(OH, OW); ValueError where that is nothing."""
    out_size = []
    for axis, length, k, s, p, d, extra in zip(
        ("height", "width"), size, kernel, stride, padding, dilation, more, strict=True
    ):
        out = (length - 1) * s + d * (k - 1) + 1 + extra - 2 * p
        if out < 1:
            what = f"nothing remains of the output's {axis}: {out + 2 * p} from {length} in steps of {s} (kernel {k}"
            what = f"{what}, dilation {d}), of which a padding of {p} cuts off {2 * p}"
            raise ValueError(f"conv_transpose2d: {what}; use a smaller padding")
        out_size.append(out)
    return tuple(out_size)


def _check_shapes(x, weight, bias, groups):
    """ValueError unless the Variables are (N, C, H, W), (C, OC/groups, KH, KW) and (OC,) with the same C and OC."""
    op, shape, weights = "conv_transpose2d", x.data.shape, weight.data.shape
    check_images(op, x)
    if 0 in shape[1:]:
        raise ValueError(f"{op}: input of shape {shape} has nothing in it to make larger")
    if len(weights) != 4 or 0 in weights:
        raise ValueError(f"{op}: weight must be (C, OC/groups, KH, KW), none of them 0, got {weights}")
    if shape[1] % groups:
        raise ValueError(f"{op}: groups must divide the {shape[1]} input channels, got {groups}")
    if weights[0] != shape[1]:
        what = f"weight of shape {weights} takes {weights[0]} channels, but input of shape {shape} has {shape[1]}"
        raise ValueError(f"{op}: {what}; weight is (C, OC/groups, KH, KW), the other way round than conv2d's")
    if bias is not None and bias.data.shape != (weights[1] * groups,):
        raise ValueError(
            f"{op}: bias must have shape ({weights[1] * groups},), one for each filter, got {bias.data.shape}"
        )
