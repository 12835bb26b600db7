"""What pooling's kernels share: a launch with a thread for each number written, and where windows lie."""

from .launch import THREADS, blocks, contiguous, device


def fill(kernel, arrays, out, *geometry):
    """`out`, filled: one thread for each of its elements."""
    kernel[blocks(out.size), THREADS](*map(_planes, (*arrays, out)), *geometry)
    return out


def _planes(images):
    """(N, C, H, W) as (N * C, H, W)."""
    n, channels, *size = images.shape
    return contiguous(images).reshape(n * channels, *size)


def before(padding):
    """(top, left) of ((top, bottom), (left, right))."""
    return tuple(before for before, _ in padding)


def behind(padding):
    """(bottom, right)."""
    return tuple(behind for _, behind in padding)


@device
def place(i, height, width):
    """(plane, row, column) of number i."""
    return i // width // height, i // width % height, i % width


@device
def output_of(h, u, stride, padding, dilation, outputs):
    """Tap u of which output sees row h? output * stride - padding + u * dilation = h, or -1: none."""
    start = h + padding - u * dilation
    return start // stride if start >= 0 and start % stride == 0 and start // stride < outputs else -1
