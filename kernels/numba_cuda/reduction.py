"""Sums that lose no digits; sums and maxima over the threads of a thread block, for the kernels that have one for
each row or channel.

A thread may add up thousands of numbers. Their sum is soon so large that most of a small one falls off its end: `add`
keeps what fell off, and adds it next time (Kahan, 1965).

Every thread of the thread block must call them, and gets the result. `partial` is shared memory of THREADS numbers. In
each of log2(THREADS) steps half of the threads that are left add (compare) what the other half has:

    thread     0     1     2     3
    partial    a     b     c     d
               a+c   b+d
               a+b+c+d
"""

from .launch import THREADS, cuda, device


@device
def add(total, lost, value):
    """(total + value, by how much too large that is); `lost`: by how much `total` is too large, 0 at first."""
    value = value - lost  # takes off what was too much before
    larger = total + value
    too_large = (larger - total) - value  # 0 if nothing was rounded
    return larger, too_large if too_large == too_large else lost  # NaN where there is an infinity


@device
def block_sum(value, partial):
    """The sum of every thread's `value`."""
    i = cuda.threadIdx.x  # [0, THREADS)
    cuda.syncthreads()  # what was there before has been read
    partial[i] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if i < half:
            partial[i] += partial[i + half]
        cuda.syncthreads()
        half //= 2
    return partial[0]


@device
def block_max(value, partial):
    """The largest of every thread's `value`; NaN if one of them is."""
    i = cuda.threadIdx.x  # [0, THREADS)
    cuda.syncthreads()  # what was there before has been read
    partial[i] = value
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if i < half:
            other = partial[i + half]
            if other > partial[i] or other != other:  # a NaN wins, and stays: nothing is larger
                partial[i] = other
        cuda.syncthreads()
        half //= 2
    return partial[0]
