"""Mean squared error; mirrors minicnn/ops/mse_loss.py.

Threads   thread i takes element i, i + threads of the grid, and so on: a grid-stride loop, right for any grid
Memory    neighbouring threads touch neighbouring elements: every access is coalesced
Shared    the sum: one number for each thread (reduction.py); every thread reaches the barriers there, with elements or
          without
Launch    thread blocks of THREADS; for the sum at most SUMS of them, as each leaves a sum that the array library adds
Bound by  memory: 2 or 3 reads and at most 1 write an element, for 3 operations
"""

from minicnn.ops.summation import total

from .launch import THREADS, T, blocks, cuda, elementwise, empty, folded, int64, kernel
from .reduction import add, block_sum

SUMS = 1024


def mse_loss_forward(x, target):
    """Each (x - target)^2."""
    return elementwise(mse_loss_forward_kernel, x, target)


def mse_loss_sum(x, target):
    """The sum of all (x - target)^2."""
    sums = empty(x, (min(blocks(x.size), SUMS),))
    mse_loss_sum_kernel[sums.size, THREADS](folded(x, 1), folded(target, 1), sums)
    return total(sums, (0,))


def mse_loss_backward(grad_loss, x, target):
    """grad_x = 2 * (x - target) * grad_loss, which is () or has x's shape."""
    grad_x, stride = empty(x, x.shape), min(1, grad_loss.ndim)
    arrays = folded(grad_loss, 1), stride, folded(x, 1), folded(target, 1), folded(grad_x, 1)
    mse_loss_backward_kernel[blocks(x.size), THREADS](*arrays)
    return grad_x


@kernel
def mse_loss_forward_kernel(x: T[:], target: T[:], y: T[:]):
    """y = (x - target)^2."""
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        difference = x[i] - target[i]
        y[i] = difference * difference


@kernel
def mse_loss_sum_kernel(x: T[:], target: T[:], sums: T[:]):
    """sums: of the squares that each thread block has seen."""
    partial = cuda.shared.array(THREADS, x.dtype)
    zero = x.dtype.type(0)
    sum_so_far, lost = zero, zero
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        difference = x[i] - target[i]
        sum_so_far, lost = add(sum_so_far, lost, difference * difference)
    of_block = block_sum(sum_so_far, partial)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = of_block


@kernel
def mse_loss_backward_kernel(grad_loss: T[:], stride: int64, x: T[:], target: T[:], grad_x: T[:]):
    """grad_x of each element. grad_loss has one number for each of them (stride 1), or one for all (stride 0)."""
    two = x.dtype.type(2)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        grad_x[i] = two * (x[i] - target[i]) * grad_loss[i * stride]
