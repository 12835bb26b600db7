"""What Adam's kernels multiply by, in any language.

    g = grad + decay * w;   m = beta1 * m + new1 * g;   v = beta2 * v + new2 * g * g
    w = remains * w - rate * m / (sqrt(v) + eps)

All is worked out in float64: in float32, 1 - 0.999 is off by 5e-5 of itself. The corrections of m and v, which all
weights have in common, stand in `rate` and `eps`: lr * m_hat / (sqrt(v_hat) + eps), with both sides of the fraction
times sqrt(1 - beta2^t) (Kingma and Ba, the end of section 2).
"""

import math


def adam_numbers(lr, beta1, beta2, eps, weight_decay, decoupled, t):
    """(decay, remains, beta1, new1, beta2, new2, rate, eps) from a row of the `settings` of ``adam_update``."""
    decay, remains = (0.0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1.0)
    root = math.sqrt(1 - beta2**t)
    return decay, remains, beta1, 1 - beta1, beta2, 1 - beta2, lr * root / (1 - beta1**t), eps * root
