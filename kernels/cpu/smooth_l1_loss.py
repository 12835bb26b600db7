"""Smooth L1 loss, one pass over both arrays each way; mirrors minicnn/ops/smooth_l1_loss.py."""

import numpy as np

from .machine.elementwise import elementwise
from .machine.jit import jit


def smooth_l1_loss_forward(x, target, beta):
    """l of each number."""
    return elementwise(_losses, x, target, numbers=(x.dtype.type(beta),))


def smooth_l1_loss_backward(grad_loss, x, target, beta):
    """grad_x; grad_loss is () or has x's shape."""
    grads = np.broadcast_to(grad_loss, x.shape) if grad_loss.ndim == 0 else grad_loss
    return elementwise(_gradients, x, target, grads, numbers=(x.dtype.type(beta),))


@jit
def _losses(x, target, y, beta):
    half = x.dtype.type(0.5)
    for i in range(x.size):
        distance = abs(x[i] - target[i])
        y[i] = half * distance * distance / beta if distance < beta else distance - half * beta


@jit
def _gradients(x, target, grad_loss, grad_x, beta):
    one = x.dtype.type(1)
    for i in range(x.size):
        difference = x[i] - target[i]
        if abs(difference) < beta:
            slope = difference / beta
        elif difference > 0:
            slope = one
        else:
            slope = -one if difference < 0 else difference  # 0 or NaN
        grad_x[i] = slope * grad_loss[i]
