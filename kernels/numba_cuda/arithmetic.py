"""The residual add, y = a + b of one shape; mirrors minicnn/ops/arithmetic.py. Broadcasting is the array library's.

Threads   one for every element, in a grid-stride loop
Memory    2 reads and 1 write an element, all coalesced; no shared memory, no barrier
Launch    thread blocks of THREADS, ceil(size / THREADS) of them
Bound by  memory: 1 operation for 3 numbers moved
"""

from .launch import T, cuda, elementwise, kernel


def residual_add_forward(x, y):
    """x + y."""
    return elementwise(residual_add_forward_kernel, x, y)


@kernel
def residual_add_forward_kernel(a: T[:], b: T[:], y: T[:]):
    """y = a + b."""
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):  # [0, size)
        y[i] = a[i] + b[i]
