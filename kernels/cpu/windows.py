"""What max- and average-pooling share: the rows of all outputs, cut into as many chunks as there are threads."""

from .machine import threads


def by_rows(kernel, x, outputs, *geometry):
    """``kernel(x, *outputs, start, stop, *geometry)`` for chunks of the N*OH rows of the outputs (N, OH, OW, C)."""
    n, height, width, channels = outputs[0].shape
    least = threads.LEAST // max(1, width * channels)  # rows
    threads.run_chunks(lambda start, stop: kernel(x, *outputs, start, stop, *geometry), n * height, least)
