"""Launches mse_loss.cu; mirrors minicnn/ops/mse_loss.py."""

from minicnn.ops.summation import total

from .elementwise import elementwise
from .launch import THREADS, CudaFile, blocks, empty

cu = CudaFile("mse_loss.cu")
SUM_BLOCKS = 1024  # thread blocks that work out the sum: enough for any GPU, and few sums are left to add up


def mse_loss_forward(x, target):
    """Each (x - target)^2."""
    return elementwise(cu.mse_loss_forward, x, target)


def mse_loss_sum(x, target):
    """The sum of all (x - target)^2."""
    grid = min(blocks(x.size), SUM_BLOCKS)
    sums = empty(x, (grid * THREADS // 32,))  # one for each warp
    cu.mse_loss_sum[grid, THREADS](x, target, sums, x.size)
    return total(sums, (0,))


def mse_loss_backward(grad_loss, x, target):
    """grad_x = 2 * (x - target) * grad_loss, which is () or has x's shape."""
    grad_x, stride = empty(x, x.shape), min(1, grad_loss.ndim)
    cu.mse_loss_backward[blocks(x.size), THREADS](grad_loss, stride, x, target, grad_x, x.size)
    return grad_x
