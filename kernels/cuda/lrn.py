"""Launches lrn.cu; mirrors minicnn/ops/lrn.py."""

from minicnn.kernels.arguments import folded_shape

from .launch import THREADS, CudaFile, blocks, contiguous, empty

cu = CudaFile("lrn.cu")


def local_response_norm_forward(x, size, alpha, beta, k, groups):
    """y = x * s^-beta."""
    y = empty(x, x.shape)
    cu.local_response_norm_forward[blocks(x.size), THREADS](x, y, *_window(x, size, groups), alpha / size, beta, k)
    return y


def local_response_norm_backward(grad_out, x, size, alpha, beta, k, groups):
    """grad_x: what passes straight through, minus x times what it did to its neighbours."""
    x, launch, window = contiguous(x), (blocks(x.size), THREADS), _window(x, size, groups)  # a copy serves both kernels
    s, grad_x = empty(x, x.shape), empty(x, x.shape)
    cu.local_response_norm_scale[launch](x, s, *window, alpha / size, k)
    cu.local_response_norm_backward[launch](grad_out, x, s, grad_x, *window, alpha / size, beta)
    return grad_x


def _window(x, size, groups):
    """(elements, C of a group, inner, channels before, channels after); a window longer than C sees no more than C."""
    _, channels, inner = folded_shape(x.shape, 3)
    channels //= groups
    return x.size, channels, inner, min(size // 2, channels), min((size - 1) // 2, channels)
