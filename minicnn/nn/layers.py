"""A layer for each op: what holds the op's settings. Names and arguments are PyTorch's. With weights: weighted.py.

Settings are looked at here, when the layer is made, not where it first runs (``minicnn/settings.py``).
"""

from typing import Any

import numpy as np

from .. import functional as F
from ..absent import with_absent_names
from ..ops.interpolate import checked_settings, scale_factors
from ..settings import ANY, both, flag, real, whole, whole_or_pair
from ..tensor import Tensor
from ..types import Size
from .module import Module
from .parameter import Parameter


@with_absent_names
class BatchNorm2d(Module):
    """Batch norm of (N, C, H, W) with running statistics; ``F.batch_norm``. Frozen, it stays in evaluation mode.

    momentum: the weight of the new statistics. PyTorch's None, the average of all batches so far, is not built.
    """

    weight: Any  # Parameters (num_features,); None if not affine
    bias: Any
    running_mean: Tensor
    running_var: Tensor
    same_on_all_ranks = False  # the running statistics, where several processes train; of SyncBatchNorm they are

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        super().__init__()
        self.num_features = whole(self, "num_features", num_features)
        self.eps = real(self, "eps", eps, above=0)
        self.momentum = real(self, "momentum", momentum, at_least=0, at_most=1)
        self.affine = flag(self, "affine", affine)
        self.register_parameter("weight", Parameter(np.ones(num_features, np.float32)) if affine else None)
        self.register_parameter("bias", Parameter(np.zeros(num_features, np.float32)) if affine else None)
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, np.float32)))
        self.register_buffer("running_var", Tensor(np.ones(num_features, np.float32)))

    def forward(self, x):
        return F.batch_norm(x, *self.options())

    def options(self) -> tuple[Tensor, Tensor, Any, Any, bool, float, float]:
        """The arguments of ``F.batch_norm`` behind the input."""
        training = self.training and not self.frozen
        return self.running_mean, self.running_var, self.weight, self.bias, training, self.momentum, self.eps

    def extra_repr(self):
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class LocalResponseNorm(Module):
    """``F.local_response_norm``: damp each channel by its neighbours, in its own group if there are several."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, groups: int = 1) -> None:
        super().__init__()
        self.size, self.groups = whole(self, "size", size), whole(self, "groups", groups)
        self.alpha, self.beta, self.k = real(self, "alpha", alpha), real(self, "beta", beta), real(self, "k", k)

    def forward(self, x):
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.groups)

    def extra_repr(self):
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}{groups}"


class MaxPool2d(Module):
    """``F.max_pool2d``."""

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        _set_window(self, kernel_size, stride, padding, ceil_mode)
        self.dilation = whole_or_pair(self, "dilation", dilation)

    def forward(self, x):
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self):
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{window}, ceil_mode={self.ceil_mode}"


class AvgPool2d(Module):
    """``F.avg_pool2d``."""

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        _set_window(self, kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = flag(self, "count_include_pad", count_include_pad)

    def forward(self, x):
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """``F.adaptive_avg_pool2d``: whatever the size of the input, the output has this one (None: the input's)."""

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        sizes = output_size if isinstance(output_size, (tuple, list, np.ndarray)) else (output_size, output_size)
        checked: Any = whole_or_pair(self, "output_size", [1 if size is None else size for size in sizes])
        self.output_size: tuple = tuple(None if a is None else b for a, b in zip(sizes, checked, strict=True))

    def forward(self, x):
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self):
        return f"{self.output_size}"


class Dropout(Module):
    """``F.dropout``, in training mode only, and not where the network is frozen."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p, self.inplace = real(self, "p", p, at_least=0, at_most=1), flag(self, "inplace", inplace)

    def forward(self, x):
        return F.dropout(x, self.p, self.training and not self.frozen, self.inplace)

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class ReLU(Module):
    """``F.relu``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag(self, "inplace", inplace)

    def forward(self, x):
        return F.relu(x, self.inplace)

    def extra_repr(self):
        return f"inplace={self.inplace}"


class LeakyReLU(Module):
    """``F.leaky_relu``."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = real(self, "negative_slope", negative_slope), flag(self, "inplace", inplace)

    def forward(self, x):
        return F.leaky_relu(x, self.negative_slope, self.inplace)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}, inplace={self.inplace}"


class ReLU6(ReLU):
    """``F.relu6``."""

    def forward(self, x):
        return F.relu6(x, self.inplace)


class Identity(Module):
    """Its input, unchanged: stands where a layer is to be left out. What that one would have been given is ignored."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__()

    def forward(self, x):
        return x


class Sigmoid(Module):
    """``F.sigmoid``."""

    def forward(self, x):
        return F.sigmoid(x)


class Tanh(Module):
    """``F.tanh``."""

    def forward(self, x):
        return F.tanh(x)


class Softmax(Module):
    """``F.softmax`` over the axis `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = whole(self, "dim", dim, at_least=ANY)

    def forward(self, x):
        return F.softmax(x, self.dim)

    def extra_repr(self):
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """``F.log_softmax`` over the axis `dim`."""

    def forward(self, x):
        return F.log_softmax(x, self.dim)


class Flatten(Module):
    """``F.flatten``; by default all axes but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = whole(self, "start_dim", start_dim, at_least=ANY)
        self.end_dim = whole(self, "end_dim", end_dim, at_least=ANY)

    def forward(self, x):
        return F.flatten(x, self.start_dim, self.end_dim)


class ZeroPad2d(Module):
    """``F.pad`` of pictures with zeros; padding: a number for all sides, or (left, right, top, bottom)."""

    def __init__(self, padding: int | tuple[int, int, int, int]) -> None:
        super().__init__()
        sides = padding if isinstance(padding, (tuple, list, np.ndarray)) else (padding,) * 4
        if len(sides) != 4:
            raise TypeError(f"ZeroPad2d: padding must be a number or (left, right, top, bottom), got {padding!r}")
        self.padding = tuple(whole(self, "padding", side, at_least=ANY) for side in sides)

    def forward(self, x):
        return F.pad(x, self.padding)

    def extra_repr(self):
        return f"{self.padding}"


class Upsample(Module):
    """``F.interpolate``: pictures of `size`, or `scale_factor` times as large."""

    def __init__(
        self, size: Size | None = None, scale_factor: Any = None, mode: str = "nearest",
        align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        checked_settings("Upsample", size, scale_factor, mode, align_corners)
        self.size = None if size is None else whole_or_pair(self, "size", size)
        self.scale_factor = None if scale_factor is None else scale_factors("Upsample", scale_factor)
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x):
        sizes = self.size, self.scale_factor
        return F.interpolate(x, *sizes, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self):
        size = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{size}, mode={self.mode!r}"


def _set_window(module, kernel_size, stride, padding, ceil_mode):
    """What both kinds of pooling have; the padding is at most half of the window, as in PyTorch."""
    module.kernel_size = whole_or_pair(module, "kernel_size", kernel_size)
    module.stride = module.kernel_size if stride is None else whole_or_pair(module, "stride", stride)
    module.padding = whole_or_pair(module, "padding", padding, at_least=0)
    if any(2 * p > k for p, k in zip(both(module.padding), both(module.kernel_size), strict=True)):
        what = f"must be at most half of kernel_size {module.kernel_size}, got {module.padding}"
        raise ValueError(f"{type(module).__name__}: padding {what}")
    module.ceil_mode = flag(module, "ceil_mode", ceil_mode)
