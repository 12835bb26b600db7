"""Transposed convolution: conv.py's gradient with respect to x, and a bias; mirrors minicnn/ops/conv_transpose.py.

The bias, which a gradient has not, is a kernel of its own:

Threads   thread i takes number i, i + threads of the grid, and so on: a grid-stride loop, right for any grid
Memory    neighbouring threads touch neighbouring numbers: every access is coalesced; the biases come from the cache
Launch    thread blocks of THREADS
Bound by  memory: 1 read and 1 write a number, for 1 addition
"""

from .conv import conv2d_grad_x
from .launch import THREADS, T, blocks, contiguous, cuda, folded, kernel


def conv_transpose2d_forward(x, weight, bias, out_size, stride, padding, dilation, groups):
    """y (N, OC, OH, OW)."""
    y_shape = len(x), weight.shape[1] * groups, *out_size
    y = conv2d_grad_x(x, y_shape, weight, stride, padding, dilation, groups)
    if bias is not None:
        add_bias_kernel[blocks(y.size), THREADS](contiguous(bias), folded(y, 3))
    return y


@kernel
def add_bias_kernel(bias: T[:], y: T[:, :, :]):
    """y (N, OC, area) += bias (OC,)"""
    _, OC, area = y.shape
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, N * OC * area)
        n, o, m = i // area // OC, i // area % OC, i % area  # the number's digits: image, channel, pixel
        y[n, o, m] += bias[o]
