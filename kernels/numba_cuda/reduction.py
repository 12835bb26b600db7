"""Sums and maxima over the threads of a block, for the kernels that have a block for each row or channel.

Every thread of the block must call them, and gets the result. `partial` is shared memory of THREADS numbers. In each of
log2(THREADS) steps half of the threads that are left add (compare) what the other half has:

    thread     0     1     2     3
    partial    a     b     c     d
               a+c   b+d
               a+b+c+d
"""

from .launch import THREADS, cuda, device


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
            if other > partial[i] or other != other:
                partial[i] = other
        cuda.syncthreads()
        half //= 2
    return partial[0]
