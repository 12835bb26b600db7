"""Stochastic gradient descent with momentum; mirrors minicnn/optim/sgd.py. One launch does all of a parameter's update.

    d = grad + weight_decay * w;   v = momentum * v + (1 - dampening) * d;   w -= lr * v, or lr * (d + momentum * v)

(kernels/cuda/sgd.cu does all parameters in one launch, from a table of addresses; Numba has no arrays of arrays.)

Threads   one for each weight, in a grid-stride loop
Memory    coalesced: 3 reads (w, grad, velocity) and 2 writes (w, velocity) a weight; no shared memory, no barrier
Launch    thread blocks of THREADS, ceil(size / THREADS) of them
Bound by  memory: about 8 operations for 5 numbers moved; small parameters by the launch itself
"""

import numpy as np

from minicnn.device import to_device
from minicnn.kernels.arguments import check_alike, write_back

from .launch import THREADS, T, blocks, bool_, contiguous, cuda, folded, kernel, optional


def sgd_update(parameters, gradients, velocities, settings, loss=None):
    """One step of every parameter, in place on parameters and velocities (None where there is no momentum)."""
    if loss is not None and not np.isfinite(to_device(loss, "cpu")):  # a wait; kernels/cuda/sgd.cu has none
        return
    check_alike("sgd_update", parameters, gradients, velocities)
    rows = list(zip(parameters, gradients, velocities, settings, strict=True))  # before the first one is changed
    for *given, rates in rows:
        used = list(map(contiguous, given))
        sgd_update_kernel[blocks(used[0].size), THREADS](*(folded(array, 1) for array in used), *rates)
        write_back([given], [used])


@kernel
def sgd_update_kernel(
    w: T[:], grad: T[:], velocity: optional(T[:]), lr: T, momentum: T, dampening: T, weight_decay: T, nesterov: bool_
):
    """The formula above for every weight of one parameter."""
    real = w.dtype.type
    for i in range(cuda.grid(1), w.size, cuda.gridsize(1)):  # [0, size)
        d = grad[i] if weight_decay == real(0) else grad[i] + weight_decay * w[i]
        if velocity is not None:
            v = momentum * velocity[i] + (real(1) - dampening) * d
            velocity[i] = v
            d = d + momentum * v if nesterov else v
        w[i] -= lr * d
