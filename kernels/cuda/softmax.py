"""Launches softmax.cu; mirrors minicnn/ops/softmax.py."""

from minicnn.kernels.arguments import around

from .launch import THREADS, CudaFile, blocks, empty

cu = CudaFile("softmax.cu")


def softmax_forward(x, dim):
    """y = e^(x - max) / sum e^(x - max)."""
    return _rows(cu.softmax_forward, dim, x)


def softmax_backward(grad_out, y, dim):
    """grad_x = y * (grad_out - sum grad_out * y)."""
    return _rows(cu.softmax_backward, dim, grad_out, y)


def log_softmax_forward(x, dim):
    """y = x - max - log sum e^(x - max)."""
    return _rows(cu.log_softmax_forward, dim, x)


def log_softmax_backward(grad_out, y, dim):
    """grad_x = grad_out - softmax * sum grad_out."""
    return _rows(cu.log_softmax_backward, dim, grad_out, y)


def grid(rows, classes, inner):
    """Thread blocks for rows of scores along the middle axis of (outer, classes, inner): rows.cuh."""
    return blocks(rows * 32 if inner == 1 else rows)


def _rows(kernel, dim, *arrays):
    """What a kernel makes of arrays of one shape, row by row of scores along the axis `dim`."""
    outer, classes, inner = around(arrays[0].shape, dim)
    out, sizes = empty(arrays[0], arrays[0].shape), (outer * inner, classes, inner)
    kernel[grid(*sizes), THREADS](*arrays, out, *sizes)
    return out
