"""What max- and average-pooling share: how their work is cut into chunks, and what their gradients are added up in."""

import numpy as np

from .machine import team, threads
from .machine.bfloat16 import bits, convert
from .machine.layout import behind_channels, channels_last
from .machine.memory import empty, scratch


def shares_of_rows(y):
    """A table (machine/team.py) by which threads share the N*OH rows of y (N, OH, OW, C)."""
    n, height, width, channels = y.shape
    chunks = threads.chunks(n * height, threads.LEAST // max(1, width * channels))
    return team.table(n * height, max(1, len(chunks)), 1)


def by_rows(kernel, x, outputs, *geometry):
    """``kernel(x, *outputs, start, stop, *geometry)`` for chunks of the N*OH rows of the outputs (N, OH, OW, C)."""
    n, height, width, channels = outputs[0].shape
    least = threads.LEAST // max(1, width * channels)  # rows
    threads.run_chunks(lambda start, stop: kernel(x, *outputs, start, stop, *geometry), n * height, least)


def by_images(kernel, x_shape, given, *geometry):
    """grad_x of that shape (N, C, H, W), to whose pixels every window adds something.

    given   arrays (N, C, OH, OW), the gradient first
    kernel  ``kernel(*given, grad_x, *geometry)`` for chunks of the images, all of them channels-last. A bfloat16 image
            is added up in float32, by itself, and then rounded.
    """
    last = [bits(channels_last(array)) for array in given]
    grad_x = empty((x_shape[0], *x_shape[2:], x_shape[1]), given[0].dtype)  # (N, H, W, C)
    out = bits(grad_x)

    def work(start, stop):
        if out is grad_x:
            kernel(*(array[start:stop] for array in last), out[start:stop], *geometry)
            return
        sums = scratch("windows.sums", (1, *out.shape[1:]), np.float32)  # of one image, which stays in the cache
        for n in range(start, stop):
            kernel(*(array[n : n + 1] for array in last), sums, *geometry)
            convert(sums.reshape(-1), out[n].reshape(-1))

    threads.run_chunks(work, len(out))
    return behind_channels(grad_x)
