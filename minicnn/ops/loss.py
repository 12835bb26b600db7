"""Cross-entropy: how many nats a prediction is away from the label.

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
Mirrors   kernels/cpu/loss.py   kernels/numba_cuda/loss.py   kernels/cuda/loss.cu
Test      tests/ops/test_loss.py
Source    Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7 (smoothing)
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..device import device_of, plain_array, to_device
from ..settings import real, whole
from ..types import Array
from ..variable import V, Variable
from .arguments import check_tensors
from .softmax import log_softmax_forward
from .summation import total

INT64 = np.iinfo(np.int64)  # what kernels take labels as


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
    target          integer labels (N, ...): an array or a Tensor, each in [0, C) or equal to ignore_index
    weight          (C,) weights of the classes, an array or a constant Tensor
    reduction       "mean", "sum" or "none"
    IndexError for a label out of range, TypeError for labels that are not integers, ValueError for an empty batch
    or one whose every label is ignored; RuntimeError in backward() if labels or weights were changed after the call.
    Labels that are on the GPU already are not waited for: one out of range makes the loss NaN and is an IndexError when
    a value is next copied to the host, and with all ignored the mean is NaN.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'cross_entropy: reduction must be "mean", "sum" or "none", got {reduction!r}')
    label_smoothing = real("cross_entropy", "label_smoothing", label_smoothing, at_least=0, at_most=1)
    ignore_index = whole("cross_entropy", "ignore_index", ignore_index, INT64.min, INT64.max)
    check_tensors("cross_entropy", {"input": input})
    target = _checked_target(input, target, ignore_index)
    weight = _checked_weight(input, weight)
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": label_smoothing}
    return CrossEntropy.apply(input, target=target, weight=weight, **options)


class CrossEntropy(Function):
    def forward(self, x, target, weight, ignore_index, reduction, label_smoothing):
        self.target = to_device(self.constant(target), self.device)  # a copy that must not change; where x is
        weight = None if weight is None else to_device(self.constant(weight), self.device)
        self.options = weight, ignore_index, label_smoothing
        loss, logp, total_weight = self.run(cross_entropy_forward, x, self.target, *self.options)  # (N, ...), as x, ()
        self.save_for_backward(logp)  # softmax(x) = e^logp
        self.divisor = total_weight if reduction == "mean" else x.dtype.type(1)  # N without weights
        # loss (N, ...) has one number for each label
        return loss if reduction == "none" else total(loss, tuple(range(loss.ndim))) / self.divisor

    def backward(self, grad_out):
        (logp,) = self.saved
        return self.run(cross_entropy_backward, grad_out / self.divisor, logp, self.target, *self.options)


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
    grad_loss: Array, logp: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> Array:
    """grad_x like logp; grad_loss is () or one number for each target."""
    p = _label_weights(logp.shape, logp.dtype, target, weight, ignore_index, label_smoothing)
    grad_x = np.exp(logp) * total(p, (1,), keepdims=True) - p  # in short: softmax - onehot
    # grad_loss is (N, ...) for reduction="none"; with an axis for the classes, (N, 1, ...)
    return grad_x * (grad_loss if grad_loss.ndim == 0 else np.expand_dims(grad_loss, 1))


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


def _checked_target(x, target, ignore_index):
    """target as a Variable or an array, wherever it lies."""
    target = _variable_or_array(target)
    array = target.data if isinstance(target, Variable) else target
    if array.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: target must hold integer class numbers, got dtype {array.dtype}")
    shape = x.data.shape
    if x.data.ndim < 2 or array.shape != (shape[0], *shape[2:]):
        what = "cross_entropy: input must be (N, C, ...) and target (N, ...), one label for each row of C scores"
        raise ValueError(f"{what}; got input {shape} and target {array.shape}")
    if array.size == 0:
        raise ValueError(f"cross_entropy: no labels to average over, target has shape {array.shape}")
    if device_of(array) == "cpu":  # labels on the GPU are looked at by its kernel: here one would wait for them
        _check_labels(array, shape, ignore_index)
    return target


def _check_labels(target, shape, ignore_index):
    """IndexError for a label that is no class, ValueError if all are ignored; they are looked at on the processor."""
    if not 0 <= ignore_index < shape[1] and target.min() >= 0 and target.max() < shape[1]:
        return  # all count, and all are classes: the usual case, for which nothing is copied
    counted = target[target != ignore_index]
    if counted.size == 0:
        raise ValueError(f"cross_entropy: no labels to average over, all of target, shape {target.shape}, are ignored")
    if counted.min() < 0 or counted.max() >= shape[1]:
        wrong = counted.min() if counted.min() < 0 else counted.max()
        raise IndexError(f"cross_entropy: target holds label {wrong}; input {shape} has classes 0 to {shape[1] - 1}")


def _checked_weight(x, weight):
    """weight as a Variable or an array, wherever it lies."""
    if weight is None:
        return None
    weight = _variable_or_array(weight)
    array = weight.data if isinstance(weight, Variable) else weight
    if isinstance(weight, Variable) and weight.requires_grad:
        raise TypeError("cross_entropy: weight requires a gradient, but gets none here; pass weight.detach()")
    if array.shape != (x.data.shape[1],):
        raise ValueError(f"cross_entropy: weight must be ({x.data.shape[1]},), one per class, got {array.shape}")
    if array.dtype != x.data.dtype:
        raise TypeError(f"cross_entropy: weight is {array.dtype}, input is {x.data.dtype}; convert one by .astype(...)")
    return weight


def _variable_or_array(value):
    """A Variable as it is, anything else as an array of either device."""
    return value if isinstance(value, Variable) else plain_array(value)
