"""Adam and AdamW, one pass for all parameters; mirrors minicnn/optim/adam.py.

Every parameter's w, grad, exp_avg and exp_avg_sq are read once, and all but grad written once: 7 numbers an element,
and 2 more with amsgrad.
"""

import numpy as np

from minicnn.kernels.adam_numbers import adam_numbers
from minicnn.kernels.arguments import check_alike

from .machine.jit import jit
from .machine.parameters import update_all


def adam_update(parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, settings, loss=None):
    """The update at the top of minicnn/optim/adam.py, in place: lists of arrays, as long as one another."""
    kept = exp_avgs, exp_avg_sqs, max_exp_avg_sqs
    if loss is not None and not np.isfinite(loss):
        return
    check_alike("adam_update", parameters, gradients, *kept)
    numbers = {row: adam_numbers(*row) for row in set(settings)}  # few: groups have steps in common
    update_all(_update, parameters, gradients, kept, [numbers[row] for row in settings])


@jit
def _update(w, grad, exp_avg, exp_avg_sq, largest, numbers):
    """As in kernels/adam_numbers.py."""
    decay, remains, beta1, new1, beta2, new2, rate, eps = numbers
    for i in range(w.size):
        g = grad[i]
        if decay != 0:
            g += decay * w[i]
        m = beta1 * exp_avg[i] + new1 * g
        v = beta2 * exp_avg_sq[i] + new2 * g * g
        exp_avg[i], exp_avg_sq[i] = m, v
        if largest is not None:
            v = np.maximum(largest[i], v)
            largest[i] = v
        w[i] = remains * w[i] - rate * m / (np.sqrt(v) + eps)
