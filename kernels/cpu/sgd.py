"""SGD, one pass for all parameters; mirrors minicnn/optim/sgd.py.

Every parameter's w, grad and velocity are read once, w and velocity written once: 5 numbers an element, whatever the
settings are.
"""

import numpy as np

from minicnn.kernels.arguments import check_alike

from .machine.jit import jit
from .machine.parameters import update_all


def sgd_update(parameters, gradients, velocities, settings, loss=None):
    """The update at the top of minicnn/optim/sgd.py, in place: lists of arrays, as long as one another."""
    if loss is not None and not np.isfinite(loss):
        return
    check_alike("sgd_update", parameters, gradients, velocities)
    rows = [(lr, momentum, 1 - dampening, decay, nesterov) for lr, momentum, dampening, decay, nesterov in settings]
    update_all(_update, parameters, gradients, [velocities], rows)


@jit
def _update(w, grad, velocity, numbers):
    """new: the weight of the new gradient in the velocity; nesterov: 1, or 0."""
    lr, momentum, new, decay, nesterov = numbers
    for i in range(w.size):
        d = grad[i]
        if decay != 0:
            d += decay * w[i]
        if velocity is not None:
            v = momentum * velocity[i] + new * d
            velocity[i] = v
            d = d + momentum * v if nesterov != 0 else v
        w[i] -= lr * d
