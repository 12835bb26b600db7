"""What the launchers of pooling's kernels share."""

from .launch import THREADS, blocks


def fill(kernel, out, arrays, size, out_size, *geometry):
    """`out`, filled: one thread for each of its elements."""
    kernel[blocks(out.size), THREADS](*arrays, out, out.size, *size, *out_size, *geometry)
    return out


def before(padding):
    """(top, left) of ((top, bottom), (left, right))."""
    return tuple(before for before, _ in padding)


def behind(padding):
    """(bottom, right)."""
    return tuple(behind for _, behind in padding)
