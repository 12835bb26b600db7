"""Cross-entropy: how many nats a prediction is away from the label. Of probabilities instead: soft_cross_entropy.py.

Shapes    logits x (N, C) or (N, C, d1, d2, ...), target (N,) or (N, d1, d2, ...): integers in [0, C)
          ->   loss (), or the shape of target with reduction="none"
In short  for N labels t, without class weights, smoothing or ignored labels:
          loss = -1/N sum_n logp[n,t]                   logp[n,c] = log_softmax(x)[n,c] = x[n,c] - log sum_j e^x[n,j]
          grad_x[n,c] = (softmax(x)[n,c] - onehot[n,c]) / N                    onehot[n,c] = 1 where c = t, else 0
          since -logp[t] has x[t] in it with a minus, and log sum_j e^x[j] has in x[c] the slope e^x[c] / sum_j e^x[j].
          It is what the network says minus what is so: at most 1/N, and near 0 only where the network is right.
Forward   logp as above, t = the target, w = the classes' weights (1 by default)
          loss_n = (1 - s) * w_t * -logp[t]  +  s/C * sum_c w_c * -logp[c]            s = label_smoothing
          "sum": sum_n loss_n     "mean": sum_n loss_n / sum_n w_t
Backward  grad_x[n,c] = g_n * (q_n * softmax(x)[n,c] - p[n,c])
          p[n,c] = (1 - s) * w_t * [c = t] + s/C * w_c          what each class's -logp is weighted with
          q_n = sum_c p[n,c]                                    (1 without weights: softmax minus the smoothed onehot)
          g_n = grad_out, divided by sum_n w_t for "mean"
          A target equal to ignore_index contributes to neither.
Saves     logp, and copies of target and of the weights (p is made again from them), which must not change in between
Mirrors   kernels/cpu/cross_entropy.py   kernels/numba_cuda/cross_entropy.py   kernels/cuda/cross_entropy.cu
Test      tests/ops/test_cross_entropy.py
Source    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7 (smoothing)
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..device import to_device
from ..precision import ALL, BFLOAT16, float32, narrow
from ..settings import real
from ..types import Array
from ..variable import V
from .labels import are_probabilities, checked_labels, checked_probabilities
from .soft_cross_entropy import soft_cross_entropy
from .softmax import log_softmax_forward
from .summation import total


def cross_entropy(
    input: V,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> V:
    """The loss of classification, as ``torch.nn.functional.cross_entropy`` defines it.

    input           scores ("logits") (N, C, ...), not probabilities
    target          integer labels (N, ...): an array or a Tensor, each in [0, C) or equal to ignore_index; or
                    probabilities of all classes, of the scores' shape and dtype (of bfloat16 scores float32)
    weight          (C,) weights of the classes, an array or a constant Tensor
    reduction       "mean", "sum" or "none"
    IndexError for a label out of range, TypeError for labels that are not integers, ValueError for an empty batch
    or one whose every label is ignored, or for rows that are no probabilities; RuntimeError in backward() if target or
    weights were changed after the call.
    Labels that are on the GPU already are not waited for: one out of range makes the loss NaN and is an IndexError when
    a value is next copied to the host, and with all ignored the mean is NaN. So is the loss of rows that are no
    probabilities.
    """
    label_smoothing = real("cross_entropy", "label_smoothing", label_smoothing, at_least=0, at_most=1)
    if are_probabilities(input, target):
        options = checked_probabilities("cross_entropy", input, target, weight, ignore_index, reduction)
        return soft_cross_entropy(input, label_smoothing=label_smoothing, count=None, **options)
    options = checked_labels("cross_entropy", input, target, weight, ignore_index, reduction)
    count = 1 if options["reduction"] == "sum" else None
    return CrossEntropy.apply(input, **options, label_smoothing=label_smoothing, count=count)


def cross_entropy_of_rows(input: V, target: Any, count: int) -> V:
    """What the rows `input` of a batch of `count` add to its mean loss: the sum of their losses, divided by `count`."""
    if are_probabilities(input, target):
        options = checked_probabilities("cross_entropy", input, target, None, -100, "sum")
        return soft_cross_entropy(input, label_smoothing=0.0, count=count, **options)
    options = checked_labels("cross_entropy", input, target, None, -100, "sum")
    return CrossEntropy.apply(input, **options, label_smoothing=0.0, count=count)


class CrossEntropy(Function):
    takes_bfloat16 = float32_result = True

    def forward(self, x, target, weight, ignore_index, reduction, label_smoothing, count):
        self.target = to_device(self.constant(target), self.device)  # a copy that must not change; where x is
        weight = None if weight is None else to_device(self.constant(weight), self.device)
        self.options, self.dtype = (weight, ignore_index, label_smoothing), x.dtype
        if reduction == "none":
            self.divisor = None
            loss, logp, _ = self.run(cross_entropy_forward, x, self.target, *self.options)  # (N, ...), as x
        else:
            loss, logp, self.divisor = self.run(cross_entropy_total, x, self.target, *self.options, count)  # (), as x
        self.save_for_backward(logp)  # softmax(x) = e^logp
        return loss

    def backward(self, grad_out):
        (logp,) = self.saved
        return self.run(cross_entropy_backward, grad_out, self.divisor, logp, self.target, *self.options, self.dtype)


@float32(results=ALL)
def cross_entropy_total(
    x: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float, count: int | None
) -> tuple[Array, Array, Any]:
    """(the sum of the losses / divisor, logp like x, the divisor): `count`, or for None the targets' weights' sum."""
    return summed(*cross_entropy_forward(x, target, weight, ignore_index, label_smoothing), count)


def summed(loss: Array, logp: Array, total_weight: Any, count: int | None) -> tuple[Array, Array, Any]:
    """What ``cross_entropy_total`` makes of the results of ``cross_entropy_forward``."""
    divisor = total_weight if count is None else logp.dtype.type(count)  # without weights the mean's is N
    return total(loss, tuple(range(loss.ndim))) / divisor, logp, divisor


@float32(results=ALL)
def cross_entropy_forward(
    x: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Any]:
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    logp = log_softmax_forward(x, 1)  # (N, C, ...); axis 1 is that of the classes
    p = _label_weights(x.shape, x.dtype, target, weight, ignore_index, label_smoothing)  # (N, C, ...)
    counted = target != ignore_index  # like target
    total_weight = counted.sum() if weight is None else weight[target[counted]].sum()
    each = np.multiply(p, logp, where=p != 0, out=np.zeros_like(p))  # 0 * -inf, a class that cannot be, is 0 here
    return -total(each, (1,)), logp, x.dtype.type(total_weight)  # the loss: (N, ...)


def cross_entropy_backward(
    grad_loss: Array,
    divisor: Any,
    logp: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    label_smoothing: float,
    dtype: np.dtype,
) -> Array:
    """grad_x like logp, in the scores' dtype; grad_loss is () or one number for each target, of the loss that was
    divided by `divisor`."""
    g = grad_loss if divisor is None else grad_loss / divisor
    p = _label_weights(logp.shape, logp.dtype, target, weight, ignore_index, label_smoothing)
    grad_x = np.exp(logp) * total(p, (1,), keepdims=True) - p  # in short: softmax - onehot
    # g is (N, ...) for reduction="none"; with an axis for the classes, (N, 1, ...)
    return as_scores(grad_x * (g if g.ndim == 0 else np.expand_dims(g, 1)), dtype)


def as_scores(grad_x: Array, dtype: np.dtype) -> Array:
    """The gradient in the scores' dtype: rounded, where that is bfloat16 (logp is float32 then)."""
    return narrow(grad_x) if dtype == BFLOAT16 else grad_x


def _label_weights(shape, dtype, target, weight, ignore_index, label_smoothing):
    """p of the formula, (N, C, ...): what each class's -logp is weighted with in the loss of each target.

    Without weights, smoothing and ignored labels it is onehot.
    """
    counted = np.expand_dims(target != ignore_index, 1)  # (N, 1, ...)
    index = np.where(counted, np.expand_dims(target, 1), 0)  # (N, 1, ...): some class for what does not count
    classes = np.ones(shape[1], dtype) if weight is None else weight  # w_c, (C,)
    p = np.empty(shape, dtype)  # filled for all classes first, then the label's own
    p[...] = (label_smoothing / shape[1] * classes).reshape(-1, *[1] * (len(shape) - 2))  # s/C * w_c for every class
    # (1 - s) * w_t more for the class of the label, as (N, 1, ...)
    at_target = np.take_along_axis(p, index, axis=1) + (1 - label_smoothing) * classes[index]
    np.put_along_axis(p, index, at_target, axis=1)
    return p * counted  # an ignored label weighs nothing in any class
