"""Launches activation.cu; mirrors minicnn/ops/activation.py."""

from .launch import THREADS, Kernel, blocks, contiguous, empty

_relu_forward = Kernel("activation.cu", "relu_forward")
_relu_backward = Kernel("activation.cu", "relu_backward")
_sigmoid_forward = Kernel("activation.cu", "sigmoid_forward")
_sigmoid_backward = Kernel("activation.cu", "sigmoid_backward")
_tanh_forward = Kernel("activation.cu", "tanh_forward")
_tanh_backward = Kernel("activation.cu", "tanh_backward")


def relu_forward(x, out):
    """y = max(x, 0), written into `out` if that is not None."""
    if out is None or out.flags.c_contiguous:
        return _map(_relu_forward, x, out=out)
    out[...] = _map(_relu_forward, x)
    return out


def relu_backward(grad_out, y):
    return _map(_relu_backward, grad_out, y)


def sigmoid_forward(x):
    return _map(_sigmoid_forward, x)


def sigmoid_backward(grad_out, y):
    return _map(_sigmoid_backward, grad_out, y)


def tanh_forward(x):
    return _map(_tanh_forward, x)


def tanh_backward(grad_out, y):
    return _map(_tanh_backward, grad_out, y)


def _map(kernel, *arrays, out=None):
    """Run an element-wise kernel over arrays of one shape."""
    arrays = [contiguous(array) for array in arrays]
    out = empty(arrays[0], arrays[0].shape) if out is None else out
    kernel(blocks(out.size), THREADS, *arrays, out, out.size)
    return out
