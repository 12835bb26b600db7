"""What the launchers of pooling's kernels share: images in either order of memory (windows.cuh)."""

from minicnn.kernels.arguments import empty, empty_channels_last, is_channels_last, nhwc_view
from minicnn.precision import BFLOAT16

from .elementwise import VECTOR
from .launch import THREADS, blocks, contiguous
from .layout import channels_last

MOST = 2**31 - 1  # numbers that a kernel counts by an int


def lies_last(images):
    """Whether kernels work on images channels-last: on bfloat16 ones always, on others where they lie so."""
    return images.dtype == BFLOAT16 or (not images.flags.c_contiguous and is_channels_last(images))


def ordered(images, last):
    """The images channels-last or in C order: themselves, or a copy."""
    return channels_last(images) if last else contiguous(images)


def empty_ordered(like, shape, last, dtype=None):
    """New images in that order."""
    return (empty_channels_last if last else empty)(like, shape, dtype)


def launch(kernel, out, arrays, last, *numbers, threads=1):
    """`out`, filled: a thread for each vector of its numbers, or for each number where these make no vectors.

    arrays   those that the kernel takes, in its order: images, ordered alike
    numbers  what it takes behind them, the count of out's numbers, `inner`, and the Divisors inner and inner / VECTOR
    threads  for each number, where it is more than one
    """
    images = len(out)
    part = max(1, min(images, MOST * images // max(1, out.size)))  # as many as a launch can count
    inner, vector = out.shape[1] if last else 1, VECTOR // out.dtype.itemsize
    for n in range(0, images, part):
        some = out[n : n + part]
        given = [nhwc_view(array[n : n + part]) if last else array[n : n + part] for array in arrays]
        pieces = some.size // vector if inner % vector == 0 else some.size
        sizes = some.size, inner, max(1, inner), max(1, inner // vector)
        kernel[blocks(pieces * threads), THREADS](*given, *sizes, *numbers)
    return out
