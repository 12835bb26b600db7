"""Launches arithmetic.cu; mirrors residual_add_forward of minicnn/ops/arithmetic.py (its one kernel)."""

from .launch import THREADS, Kernel, blocks, contiguous, empty

_residual_add_forward = Kernel("arithmetic.cu", "residual_add_forward")


def residual_add_forward(x, y):
    """x + y."""
    out = empty(x, x.shape)
    _residual_add_forward(blocks(out.size), THREADS, contiguous(x), contiguous(y), out, out.size)
    return out
