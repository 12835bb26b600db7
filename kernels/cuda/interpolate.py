"""Launches interpolate.cu; mirrors minicnn/ops/interpolate.py."""

from .launch import THREADS, CudaFile, blocks, empty

cu = CudaFile("interpolate.cu")


def interpolate_forward(x, rows, columns):
    """y (N, C, OH, OW)."""
    y = empty(x, (*x.shape[:2], len(rows[0]), len(columns[0])))
    return _launch(cu.interpolate_forward, y, [x, y, *rows[:2], *columns[:2]], x.shape, y.shape)


def interpolate_backward(grad_out, x_shape, rows, columns):
    """grad_x (N, C, H, W)."""
    grad_x = empty(grad_out, x_shape)
    return _launch(cu.interpolate_backward, grad_x, [grad_out, grad_x, *rows, *columns], x_shape, grad_out.shape)


def _launch(kernel, out, arrays, x_shape, y_shape):
    """`out`, filled, by a thread for each of its numbers."""
    kernel[blocks(out.size), THREADS](*arrays, out.size, *x_shape[2:], *y_shape[2:])
    return out
