"""Launches cross_entropy.cu; mirrors minicnn/ops/cross_entropy.py. Labels and class weights are on the GPU here."""

from minicnn.kernels.arguments import folded_shape, takes_bfloat16
from minicnn.kernels.labels import as_labels, wrong_label
from minicnn.precision import wide_dtype

from .arrivals import arrivals
from .launch import THREADS, CudaFile, empty
from .softmax import grid

cu = CudaFile("cross_entropy.cu")
SUM_BLOCKS = 1024  # thread blocks that sum the losses: enough for any GPU, and few sums are left to add up


@takes_bfloat16
def cross_entropy_forward(x, target, weight, ignore_index, label_smoothing):
    """(loss of each target, logp like x, the sum of the targets' weights)."""
    loss = empty(x, target.shape, wide_dtype(x.dtype))
    _, logp, total_weight = _losses(x, target, weight, ignore_index, label_smoothing, loss, 0)
    return loss, logp, total_weight


@takes_bfloat16
def cross_entropy_total(x, target, weight, ignore_index, label_smoothing, count):
    """(the sum of the losses / divisor, logp like x, the divisor): `count`, or for None the targets' weights' sum."""
    return _losses(x, target, weight, ignore_index, label_smoothing, None, count or 0)


def cross_entropy_backward(grad_loss, divisor, logp, target, weight, ignore_index, label_smoothing, dtype):
    """grad_x like logp, in `dtype`; grad_loss is () or one number for each target, of the loss / divisor."""
    grad_x, stride, sizes = empty(logp, logp.shape, dtype), min(1, grad_loss.ndim), _sizes(logp)
    arrays = grad_loss, stride, divisor, logp, as_labels(target), weight, grad_x
    cu.cross_entropy_backward[grid(*sizes), THREADS](*arrays, *sizes, ignore_index, label_smoothing)
    return grad_x


def _losses(x, target, weight, ignore_index, label_smoothing, loss, count):
    """(the sum of the losses / divisor, logp, the divisor); each loss into `loss`, if that is not None."""
    sizes, dtype = _sizes(x), wide_dtype(x.dtype)
    blocks = max(1, min(grid(*sizes), SUM_BLOCKS))
    logp, partial, total, divisor = (empty(x, shape, dtype) for shape in (x.shape, (2, blocks), (), ()))
    sums = partial, arrivals(x, 1), total, divisor, wrong_label("cross_entropy", x)
    settings = *sizes, ignore_index, label_smoothing, count
    cu.cross_entropy_forward[blocks, THREADS](x, as_labels(target), weight, logp, loss, *sums, *settings)
    return total, logp, divisor


def _sizes(x):
    """(targets, C, inner)."""
    n, classes, inner = folded_shape(x.shape, 3)
    return n * inner, classes, inner
