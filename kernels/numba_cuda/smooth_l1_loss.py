"""Smooth L1 loss; mirrors minicnn/ops/smooth_l1_loss.py.

Threads   thread i takes element i, i + threads of the grid, and so on: a grid-stride loop, right for any grid
Memory    neighbouring threads touch neighbouring elements: every access is coalesced
Launch    thread blocks of THREADS
Bound by  memory: 2 or 3 reads and a write an element, for a few operations
"""

from .launch import THREADS, T, blocks, cuda, elementwise, empty, folded, int64, kernel


def smooth_l1_loss_forward(x, target, beta):
    """l of each number."""
    return elementwise(smooth_l1_loss_forward_kernel, x, target, numbers=(beta,))


def smooth_l1_loss_backward(grad_loss, x, target, beta):
    """grad_x; grad_loss is () or has x's shape."""
    grad_x, stride = empty(x, x.shape), min(1, grad_loss.ndim)
    arrays = folded(grad_loss, 1), stride, folded(x, 1), folded(target, 1), folded(grad_x, 1)
    smooth_l1_loss_backward_kernel[blocks(x.size), THREADS](*arrays, beta)
    return grad_x


@kernel
def smooth_l1_loss_forward_kernel(x: T[:], target: T[:], y: T[:], beta: T):
    """l = d^2 / (2 * beta) near the target, |d| - beta / 2 beyond."""
    half = x.dtype.type(0.5)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        distance = abs(x[i] - target[i])
        y[i] = half * distance * distance / beta if distance < beta else distance - half * beta


@kernel
def smooth_l1_loss_backward_kernel(grad_loss: T[:], stride: int64, x: T[:], target: T[:], grad_x: T[:], beta: T):
    """grad_x of each element. grad_loss has one number for each of them (stride 1), or one for all (stride 0)."""
    one = x.dtype.type(1)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):  # [0, size)
        slope = x[i] - target[i]  # which it stays where that is 0 or NaN
        if abs(slope) < beta:
            slope = slope / beta
        elif slope > 0:
            slope = one
        elif slope < 0:
            slope = -one
        grad_x[i] = slope * grad_loss[i * stride]
