"""Launches sgd.cu; mirrors minicnn/optim/sgd.py."""

from .launch import THREADS, Kernel, blocks, contiguous

_update = Kernel("sgd.cu", "sgd_update")


def sgd_update(w, grad, velocity, lr, momentum, dampening, weight_decay, nesterov):
    """One step, in place on w and velocity (None if momentum is 0)."""
    arrays = contiguous(w), contiguous(grad), contiguous(velocity)
    _update(blocks(w.size), THREADS, *arrays, w.size, lr, momentum, dampening, weight_decay, nesterov)
    for array, updated in ((w, arrays[0]), (velocity, arrays[2])):
        if updated is not array:  # it had gaps: the update was done on a copy
            array[...] = updated
