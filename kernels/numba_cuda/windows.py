"""What pooling's kernels share: how Windows are handed to them, a launch, where a number lies, which window sees it."""

from numba import types

from minicnn.ops.windows import Windows as NamedWindows

from .launch import THREADS, Pair, Pairs, blocks, contiguous, device

Windows = types.NamedTuple((Pair, Pair, Pairs, Pair, Pair), NamedWindows)


def launch(kernel, out, arrays, *numbers):
    """`out`, filled, by a thread for each of its numbers; `arrays`: those that the kernel takes, in its order."""
    kernel[blocks(out.size), THREADS](*map(_planes, arrays), *numbers)
    return out


def _planes(images):
    """(N, C, H, W) as (N * C, H, W); None stays None."""
    if images is None:
        return None
    n, channels, *size = images.shape
    return contiguous(images).reshape(n * channels, *size)


@device
def place(i, height, width):
    """(plane, row, column) of number i."""
    return i // width // height, i // width % height, i % width


@device
def output_of(h, u, stride, padding, dilation, outputs):
    """Tap u of which output sees row h? output * stride - padding + u * dilation = h, or -1: none."""
    start = h + padding - u * dilation
    return start // stride if start >= 0 and start % stride == 0 and start // stride < outputs else -1
