"""Adam and AdamW; mirrors minicnn/optim/adam.py. One launch does all of a parameter's update.

    g = grad + decay * w;   m = beta1 * m + new1 * g;   v = beta2 * v + new2 * g * g
    w = remains * w - rate * m / (sqrt(v) + eps)                                        (kernels/adam_numbers.py)

Threads   one for each weight, in a grid-stride loop
Memory    coalesced: 4 reads (w, grad, exp_avg, exp_avg_sq) and 3 writes a weight, one more of each with amsgrad; every
          thread reads the same 8 numbers; no shared memory, no barrier
Launch    thread blocks of THREADS, ceil(size / THREADS) of them
Bound by  memory: about 14 operations for 7 numbers moved; small parameters by the launch itself
"""

import numpy as np

from minicnn.device import to_device
from minicnn.kernels.adam_numbers import adam_numbers
from minicnn.kernels.arguments import check_alike, write_back

from .launch import THREADS, T, blocks, contiguous, cuda, folded, kernel, optional, sqrt


def adam_update(parameters, gradients, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, settings, loss=None):
    """One step of every parameter, in place on all but the gradients (max_exp_avg_sqs: None without amsgrad)."""
    kept = exp_avgs, exp_avg_sqs, max_exp_avg_sqs
    if loss is not None and not np.isfinite(to_device(loss, "cpu")):  # a wait; kernels/cuda/adam.cu has none
        return
    check_alike("adam_update", parameters, gradients, *kept)
    rows = list(zip(parameters, gradients, *kept, settings, strict=True))  # before the first one is changed
    for *given, row in rows:
        used = list(map(contiguous, given))
        numbers = to_device(np.array(adam_numbers(*row), used[0].dtype), "cuda")
        adam_update_kernel[blocks(used[0].size), THREADS](*(folded(array, 1) for array in used), numbers)
        write_back([given], [used])


@kernel
def adam_update_kernel(w: T[:], grad: T[:], exp_avg: T[:], exp_avg_sq: T[:], largest: optional(T[:]), numbers: T[:]):
    """The formula above for every weight of one parameter; largest: of exp_avg_sq so far."""
    decay, remains, beta1, new1 = numbers[0], numbers[1], numbers[2], numbers[3]
    beta2, new2, rate, eps = numbers[4], numbers[5], numbers[6], numbers[7]
    for i in range(cuda.grid(1), w.size, cuda.gridsize(1)):  # [0, size)
        g = grad[i] if decay == w.dtype.type(0) else grad[i] + decay * w[i]
        m = beta1 * exp_avg[i] + new1 * g
        v = beta2 * exp_avg_sq[i] + new2 * g * g
        exp_avg[i], exp_avg_sq[i] = m, v
        if largest is not None:
            if not v <= largest[i]:  # NaN goes into it, too
                largest[i] = v
            v = largest[i]
        w[i] = remains * w[i] - rate * m / (sqrt(v) + eps)
