"""Launches adaptive_avg_pool.cu; mirrors minicnn/ops/adaptive_avg_pool.py."""

from minicnn.kernels.arguments import takes_bfloat16

from .launch import CudaFile
from .windows import MOST, empty_ordered, launch, lies_last, ordered

cu = CudaFile("adaptive_avg_pool.cu")


@takes_bfloat16
def adaptive_avg_pool2d_forward(x, out_size):
    """y (N, C, OH, OW): the averages of windows that divide the image evenly."""
    last = lies_last(x)
    y, whole = empty_ordered(x, (*x.shape[:2], *out_size), last), out_size == (1, 1) and not last
    arrays, sizes = [ordered(x, last), y], _sizes(x.shape[2:], out_size)
    return launch(cu.adaptive_avg_pool2d_forward, y, arrays, last, *sizes, threads=32 if whole else 1)


@takes_bfloat16
def adaptive_avg_pool2d_backward(grad_out, x_shape):
    """grad_x (N, C, H, W): each pixel sums what it receives from the windows that it is in."""
    last = lies_last(grad_out)
    grad_x, sizes = empty_ordered(grad_out, x_shape, last), _sizes(x_shape[2:], grad_out.shape[2:])
    return launch(cu.adaptive_avg_pool2d_backward, grad_x, [ordered(grad_out, last), grad_x], last, *sizes)


def _sizes(size, out_size):
    """(H, W, OH, OW); ValueError where the kernel's products of two would not fit into an int."""
    for each, out in zip(size, out_size, strict=True):
        if (each + 1) * (out + 1) > MOST:
            raise ValueError(f"adaptive_avg_pool2d: {each} and {out} pixels along one axis are too many on a GPU")
    return *size, *out_size
