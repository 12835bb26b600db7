"""What the launchers of pooling's kernels share."""

from .launch import THREADS, blocks


def launch(kernel, out, arrays, x_shape, y_shape, *numbers):
    """`out`, filled, by a thread for each of its numbers; `arrays`: those that the kernel takes, in its order."""
    kernel[blocks(out.size), THREADS](*arrays, out.size, *x_shape[2:], *y_shape[2:], *numbers)
    return out
