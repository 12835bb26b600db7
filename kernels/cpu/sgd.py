"""SGD, one pass for all parameters; mirrors minicnn/optim/sgd.py.

Every parameter's w, grad and velocity are read once, w and velocity written once: 5 numbers an element, whatever the
settings are. The parameters stand one after the other in one row of elements, which is cut into equal chunks: a thread
may have half of one large parameter, or many small ones.
"""

import numpy as np

from minicnn.kernels.arguments import check_alike

from .machine import threads
from .machine.jit import jit
from .machine.layout import contiguous


def sgd_update(parameters, gradients, velocities, settings):
    """The update at the top of minicnn/optim/sgd.py, in place: lists of arrays, as long as one another."""
    check_alike("sgd_update", parameters, gradients, velocities)
    arrays = [tuple(map(contiguous, group)) for group in zip(parameters, gradients, velocities, strict=True)]
    flat = [tuple(None if array is None else array.reshape(-1) for array in group) for group in arrays]
    ends = np.cumsum([len(w) for w, _, _ in flat])  # as if all lay behind one another
    kinds = [(w.dtype.type, *rates) for (w, _, _), rates in zip(flat, settings, strict=True)]
    numbers = {kind: _numbers(*kind) for kind in set(kinds)}  # few: those of the groups
    each = [(*arrays, numbers[kind], end) for arrays, kind, end in zip(flat, kinds, ends, strict=True)]

    def work(start, stop):
        for w, grad, velocity, rates, end in each:
            a, b = max(0, start - end + len(w)), min(len(w), stop - end + len(w))  # the chunk's slice of it
            if a < b:
                _update(w[a:b], grad[a:b], None if velocity is None else velocity[a:b], *rates)

    threads.run_chunks(work, sum(len(w) for w, _, _ in flat), threads.LEAST)
    for originals, used in zip(zip(parameters, velocities, strict=True), arrays, strict=True):
        for original, array in zip(originals, (used[0], used[2]), strict=True):
            if array is not original:  # it had gaps: the update was done on a copy
                original[...] = array


def _numbers(real, lr, momentum, dampening, decay, nesterov):
    """The settings as the kernel takes them, in the parameters' dtype."""
    return tuple(real(number) for number in (lr, momentum, 1 - dampening, decay, 1 if nesterov else 0))


@jit
def _update(w, grad, velocity, lr, momentum, new, decay, nesterov):
    """new: the weight of the new gradient in the velocity; nesterov: 1, or 0."""
    for i in range(w.size):
        d = grad[i]
        if decay != 0:
            d += decay * w[i]
        if velocity is not None:
            v = momentum * velocity[i] + new * d
            velocity[i] = v
            d = d + momentum * v if nesterov != 0 else v
        w[i] -= lr * d
