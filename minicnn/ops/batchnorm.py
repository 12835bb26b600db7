"""Batch normalisation: every channel to mean 0 and variance 1, then a scale and a shift that are learnt.

Shapes    x (N, C, ...)   weight, bias (C,) or None   ->   y (like x); M = number of values in a channel
Forward   x_hat = (x - mean) * inv_std     inv_std = 1 / sqrt(var + eps)     y = weight * x_hat + bias
          training    mean and var are those of this batch, over everything but the channel; var is the biased one
                      (divided by M), in two passes: mean first, so that a large mean costs no digits
          evaluation  mean and var are the running ones
Backward  grad_bias = sum grad_out     grad_weight = sum grad_out * x_hat
          evaluation  grad_x = weight * inv_std * grad_out
          training    mean and var depend on x too, which takes the mean and the part along x_hat out of the gradient:
                      grad_x = weight * inv_std * (grad_out - grad_bias/M - x_hat * grad_weight/M)
Derived   For one channel; i, j count its M values, sums are over j. g = weight * grad_out is the gradient for x_hat.
          x[i] moves the loss in three ways, and its gradient is the sum of them:
          1. by x_hat[i], with mean and inv_std held fast: d x_hat[i] / d x[i] = inv_std. It adds
                 g[i] * inv_std                                                 (this is all of it in evaluation)
          2. by the mean: d mean / d x[i] = 1/M, and d x_hat[j] / d mean = -inv_std for every j. It adds
                 sum g[j] * -inv_std * 1/M                                = -inv_std * (sum g[j]) / M
             (The mean stands in var, too, but d var / d mean = -2/M sum (x[j] - mean) = 0.)
          3. by the variance, the mean of (x[j] - mean)^2:  d var / d x[i] = 2/M * (x[i] - mean),
             d inv_std / d var = -inv_std^3 / 2,  d x_hat[j] / d inv_std = x[j] - mean. It adds
                 sum g[j] * (x[j] - mean) * -inv_std^3 / 2 * 2/M * (x[i] - mean)
             The 2 goes; two of the three inv_std make (x - mean) into x_hat, once within the sum and once behind it:
                                                               = -inv_std * x_hat[i] * (sum g[j] * x_hat[j]) / M
          Together  inv_std * (g[i] - (sum g)/M - x_hat[i] * (sum g x_hat)/M), where sum g = weight * grad_bias and
          sum g x_hat = weight * grad_weight: the line above. (Adding one number to all x, or multiplying all by one,
          changes no x_hat but for eps. So the gradient must not point that way: sum grad_x = 0, sum grad_x x_hat = 0.)
Fused     batch_norm_relu: y = max(weight * x_hat + bias + residual, 0), what a residual network does between two
          convolutions, in one op: a fast kernel need not write and read again what lies in between. Its backward is
          the above with `behind` for grad_out: behind = grad_out where y > 0, else 0; grad_residual = behind
Saves     x, weight, mean, inv_std (x_hat is made again); fused: bias and y, too, which the next layer keeps anyway
Running   running = (1 - momentum) * running + momentum * new, as in PyTorch: momentum weighs the *new* value (Caffe and
values    Keras mean the opposite). What is stored is the unbiased variance, M/(M-1) times the biased one.
Mirrors   kernels/cpu/batchnorm.py   kernels/numba_cuda/batchnorm.py   kernels/cuda/batchnorm.cu
Test      tests/ops/test_batchnorm.py
Source    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
          shift", ICML 2015
"""

from typing import Any

import numpy as np

from ..autograd import Function
from ..precision import ALL, float32
from ..types import Array
from ..variable import V, Variable
from . import summation
from .arguments import check_tensors
from .per_channel import checked_apply, one_value


def batch_norm(
    input: V,
    running_mean: Variable | None,
    running_var: Variable | None,
    weight: Variable | None = None,
    bias: Variable | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> V:
    """Normalise each channel of (N, C, ...), as ``torch.nn.functional.batch_norm`` does.

    running_mean, running_var: Tensors (C,), or None in training. In training the batch's own statistics are used, and
    the running ones are updated in place; an empty batch leaves them alone.
    """
    inputs, running = (input, weight, bias), (running_mean, running_var)
    return checked_apply(BatchNorm, inputs, running, training, momentum, eps)


def batch_norm_relu(
    input: V,
    running_mean: Variable | None,
    running_var: Variable | None,
    weight: Variable | None = None,
    bias: Variable | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    residual: Variable | None = None,
) -> V:
    """relu(batch_norm(...) + residual); residual: a Tensor of the input's shape, or None."""
    check_residual(input, residual)
    inputs, running = (input, weight, bias, residual), (running_mean, running_var)
    return checked_apply(BatchNormReLU, inputs, running, training, momentum, eps)


def check_residual(input: Variable, residual: Variable | None) -> None:
    """ValueError unless the residual has the input's shape, or is None."""
    if residual is None:
        return
    check_tensors("batch_norm_relu", {"input": input, "residual": residual})
    if residual.data.shape != input.data.shape:
        what = f"batch_norm_relu: input {input.data.shape} and residual {residual.data.shape} must have one shape"
        raise ValueError(f"{what}; give the shortcut a projection")


class BatchNorm(Function):
    takes_bfloat16 = float32_weights = True
    op = "batch_norm"  # the user's function, for messages

    moments: tuple[Array, Array] | None = None  # (mean, variance) of x, if the op that made x knows: conv_batchnorm.py

    def forward(self, x, weight, bias, running, training, momentum, eps, moments=None):
        self.moments = moments
        mean, inv_std = self.normalisation(x, running, training, momentum, eps)  # (C,) each
        # what a user may change in place is saved as it is, and its count compared; not x_hat, an array as large as x
        self.save_for_backward(x, mean, inv_std) if weight is None else self.save_for_backward(x, mean, inv_std, weight)
        return self.run(batch_norm_forward, x, weight, bias, mean, inv_std)

    def normalisation(self, x: Array, running: Any, training: bool, momentum: float, eps: float) -> tuple[Array, Array]:
        """(mean, inv_std), (C,) each: of the batch, which then moves `running` (a pair, or None), or of `running`."""
        self.training = training
        if training:
            return self.statistics(x, running, momentum, eps)
        return self.run(batch_norm_running_statistics, *running, eps)

    def statistics(self, x: Array, running: Any, momentum: float, eps: float) -> tuple[Array, Array]:
        """(mean, inv_std) of the batch; `running` moves towards it."""
        if x.size == x.shape[1]:  # M is 1
            raise one_value(self.op, f"input of shape {x.shape} has")
        if self.moments is None:
            return self.run(batch_norm_statistics, x, running, momentum, eps)
        mean, var = self.moments
        move_running(running, mean, var, x.size // x.shape[1], momentum)
        return mean, inverse_std(var, eps)

    def backward(self, grad_out):
        x, mean, inv_std, *weight = self.saved  # a list of the weight, or of nothing
        weight = weight[0] if weight else None
        need_x, need_weight, need_bias = self.needs_input_grad
        grad_weight = grad_bias = None
        if need_weight or need_bias or self.training:  # in training grad_x is made of these two sums
            grad_weight, grad_bias = self.run(batch_norm_grad_weight_bias, grad_out, x, mean, inv_std)
        if not need_x:
            return None, grad_weight, grad_bias
        sums = self.sums_of_batch(grad_weight, grad_bias) if self.training else None  # ways 3 and 2 of this page's top
        return self.run(batch_norm_grad_x, grad_out, x, weight, mean, inv_std, sums), grad_weight, grad_bias

    def sums_of_batch(self, grad_weight: Array, grad_bias: Array) -> tuple[Array, Array]:
        """The two sums for ``batch_norm_grad_x``, over the batch that mean and variance are of."""
        return grad_weight, grad_bias


class BatchNormReLU(BatchNorm):
    """The fused op of the top of this page; how it normalises, and saves, is BatchNorm's."""

    op = "batch_norm_relu"

    def forward(self, x, weight, bias, residual, moments=None, **options):
        self.moments = moments
        mean, inv_std = self.normalisation(x, **options)
        y = self.run(batch_norm_relu_forward, x, weight, bias, mean, inv_std, residual)
        self.given, self.residual = (weight is not None, bias is not None), residual is not None
        # y tells where the ReLU let gradients through; with bias a kernel may work out y's sign instead of reading y
        self.save_for_backward(x, y, mean, inv_std, *(array for array in (weight, bias) if array is not None))
        return y

    def backward(self, grad_out):
        x, y, weight, bias, mean, inv_std = self.arrays()
        if self.parts is not None and self in self.parts.sums:  # the op behind has done the first pass
            sums = self.parts.sums.pop(self)
            grad_x = self.run(batch_norm_grad_x, grad_out, x, weight, mean, inv_std, sums if self.training else None)
            return grad_x, *sums, grad_out if self.residual else None
        arrays = grad_out, x, y, weight, bias, (mean, inv_std)
        return self.run(batch_norm_relu_backward, *arrays, self.training, self.residual)

    def arrays(self) -> tuple[Any, ...]:
        """(x, y, weight, bias, mean, inv_std)."""
        x, y, mean, inv_std, *rest = self.saved  # rest: weight and bias, as far as they were given
        weight, bias = (rest.pop(0) if given else None for given in self.given)
        return x, y, weight, bias, mean, inv_std

    def of_first_pass(self) -> tuple[Any, ...]:
        """The same, for the op that does it in this one's place; y only if its sign does not follow from x."""
        x, y, *others = self.arrays()
        return x, y if self.residual else None, *others


@float32(results=ALL)
def batch_norm_statistics(
    x: Array, running: tuple[Array, Array] | None, momentum: float, eps: float
) -> tuple[Array, Array]:
    """(mean, inv_std) of the batch, each (C,), over everything but the channels.

    running: (mean, variance), which move towards those of the batch, in place, unless that is empty; or None.
    """
    mean, var = mean_and_variance(x)
    move_running(running, mean, var, x.size // x.shape[1], momentum)
    return mean, inverse_std(var, eps)


def batch_norm_running_statistics(running_mean: Array, running_var: Array, eps: float) -> tuple[Array, Array]:
    """(mean, inv_std) for evaluation, each (C,); the mean is a copy: what backward needs must not move in between."""
    return running_mean.copy(), inverse_std(running_var, eps)


def batch_norm_forward(x: Array, weight: Array | None, bias: Array | None, mean: Array, inv_std: Array) -> Array:
    """y = weight * (x - mean) * inv_std + bias."""
    y = x - _per_channel(mean, x)  # (N, C, H, W) less (C, 1, 1); in place from here on
    y *= _per_channel(inv_std if weight is None else inv_std * weight, x)  # both factors at once: one pass over y
    if bias is not None:
        y += _per_channel(bias, x)
    return y


@float32(results=ALL)
def batch_norm_grad_weight_bias(grad_out: Array, x: Array, mean: Array, inv_std: Array) -> tuple[Array, Array]:
    """(grad_weight, grad_bias), each (C,): the sums of grad_out * x_hat and of grad_out."""
    axes = _all_but_channels(x)
    grad_weight = summation.total(grad_out * (x - _per_channel(mean, x)), axes) * inv_std  # inv_std once, not M times
    return grad_weight, summation.total(grad_out, axes)


def batch_norm_grad_x(
    grad_out: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array, sums: tuple[Array, Array] | None
) -> Array:
    """grad_x; `sums` is (grad_weight, grad_bias) in training, None in evaluation."""
    scale = _per_channel(inv_std if weight is None else inv_std * weight, x)
    if sums is None:  # evaluation: way 1 alone, since mean and inv_std are constants
        return grad_out * scale
    count = max(1, x.size // x.shape[1])  # M; an empty batch has none
    grad_weight, grad_bias = sums
    grad_x = (x - _per_channel(mean, x)) * _per_channel(-inv_std * grad_weight / count, x)  # way 3: -x_hat * ... / M
    grad_x += grad_out  # way 1
    grad_x -= _per_channel(grad_bias / count, x)  # way 2
    return np.multiply(grad_x, scale, out=grad_x)


def batch_norm_relu_forward(
    x: Array, weight: Array | None, bias: Array | None, mean: Array, inv_std: Array, residual: Array | None
) -> Array:
    """y = max(weight * (x - mean) * inv_std + bias + residual, 0); residual: an array like x, or None."""
    y = batch_norm_forward(x, weight, bias, mean, inv_std)
    if residual is not None:
        y += residual
    return np.maximum(y, 0, out=y)  # y is this function's own array


@float32(results=(1, 2))
def batch_norm_relu_backward(
    grad_out: Array,
    x: Array,
    y: Array,
    weight: Array | None,
    bias: Array | None,
    statistics: tuple[Array, Array],
    training: bool,
    residual: bool,
) -> tuple[Array, Array, Array, Array | None]:
    """(grad_x, grad_weight, grad_bias, grad_residual) of the above, whose result was y.

    statistics: (mean, inv_std); training: whether they depend on x; residual: whether there was one, else grad_residual
    is None. Without a residual a kernel may work out the sign of y again, from x and bias, rather than read it.
    """
    mean, inv_std = statistics
    behind = np.where(y <= 0, 0, grad_out)  # the gradient behind the ReLU, as in relu_backward
    sums = batch_norm_grad_weight_bias(behind, x, mean, inv_std)  # (grad_weight, grad_bias)
    grad_x = batch_norm_grad_x(behind, x, weight, mean, inv_std, sums if training else None)
    return grad_x, *sums, behind if residual else None


def mean_and_variance(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance), each (C,), over everything but the channels; zeros for an empty batch."""
    if x.size == 0:
        return np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)  # the mean of nothing would be NaN
    axes = _all_but_channels(x)
    mean = summation.mean(x, axes)  # (C,)
    centred = x - _per_channel(mean, x)  # the second pass: mean(x^2) - mean^2 would cancel where the mean is large
    return mean, summation.mean(np.square(centred, out=centred), axes)


def move_running(
    running: tuple[Array, Array] | None, mean: Array, var: Array, count: Array | int, momentum: float
) -> None:
    """Move the arrays (mean, variance) towards those of a batch, whose variance is biased, in place.

    count: M of that batch, a number, or (C,) numbers that are all alike.
    """
    if running is None or not np.all(count):  # an empty batch says nothing about the mean
        return
    for array, new in zip(running, (mean, var * (count / (count - 1))), strict=True):  # unbiased
        array *= 1 - momentum
        array += momentum * new  # in place: it is the layer's buffer


def inverse_std(var: Array, eps: float) -> Array:
    """1 / sqrt(var + eps)."""
    return 1 / np.sqrt(var + var.dtype.type(eps))


def _all_but_channels(x):
    return (0, *range(2, x.ndim))  # (0, 2, 3) for images


def _per_channel(values, x):
    """(C,) values, shaped to broadcast over x (N, C, ...)."""
    return values.reshape(-1, *[1] * (x.ndim - 2))  # (C, 1, 1) for images
