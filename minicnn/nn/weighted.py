"""Fully connected layers and convolutions. Names, arguments, state_dict keys and initial weights are PyTorch's."""

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..settings import ANY, both, flag, one_of, whole, whole_or_pair
from ..types import Size
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """Fully connected: weight (out_features, in_features) and bias (out_features,); ``F.linear``."""

    weight: Parameter
    bias: Any  # a Parameter; None without bias

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = whole(self, "in_features", in_features)
        self.out_features = whole(self, "out_features", out_features)
        _add_weight_and_bias(self, (self.out_features, self.in_features), self.out_features, bias)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Convolution(Module):
    """What both kinds of convolution have: the settings, and how they are shown."""

    weight: Parameter
    bias: Any  # a Parameter; None without bias
    padding: Size | str

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, dilation: Size, groups: int
    ) -> None:
        super().__init__()
        self.in_channels = whole(self, "in_channels", in_channels)
        self.out_channels = whole(self, "out_channels", out_channels)
        self.groups = whole(self, "groups", groups, at_least=ANY)
        if groups < 1 or in_channels % groups or out_channels % groups:
            channels = f"in_channels {in_channels} and out_channels {out_channels}"
            raise ValueError(f"{type(self).__name__}: groups {groups} must divide {channels}")
        self.kernel_size = both(whole_or_pair(self, "kernel_size", kernel_size))
        self.stride = both(whole_or_pair(self, "stride", stride))
        self.dilation = both(whole_or_pair(self, "dilation", dilation))

    def extra_repr(self):
        window = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        others = f"dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
        return f"{self.in_channels}, {self.out_channels}, {window}, {others}"


class Conv2d(Convolution):
    """2-D convolution: weight (out_channels, in_channels/groups, KH, KW) and bias (out_channels,); ``F.conv2d``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size | str = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if isinstance(padding, str):
            self.padding = one_of(self, "padding", padding, ("same", "valid"))
        else:
            self.padding = both(whole_or_pair(self, "padding", padding, at_least=0))
        if self.padding == "same" and self.stride != (1, 1):
            raise ValueError(f'Conv2d: padding="same" needs stride 1, got {stride}; give the padding in numbers')
        shape = self.out_channels, self.in_channels // self.groups, *self.kernel_size
        _add_weight_and_bias(self, shape, self.out_channels, bias)

    def forward(self, x):
        return F.conv2d(x, *self.options())

    def options(self) -> tuple[Any, ...]:
        """The arguments of ``F.conv2d`` behind the input."""
        return self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups


class ConvTranspose2d(Convolution):
    """Transposed 2-D convolution, which makes pictures larger: weight (in_channels, out_channels/groups, KH, KW) and
    bias (out_channels,); ``F.conv_transpose2d``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
        output_padding: Size = 0, groups: int = 1, bias: bool = True, dilation: Size = 1,
    ) -> None:  # fmt: skip
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = both(whole_or_pair(self, "padding", padding, at_least=0))
        self.output_padding = both(whole_or_pair(self, "output_padding", output_padding, at_least=0))
        for more, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if more >= max(s, d):
                what = f"must be smaller than stride {s} or dilation {d}, got {more}"
                raise ValueError(f"ConvTranspose2d: output_padding {what}")
        shape = self.in_channels, self.out_channels // self.groups, *self.kernel_size
        _add_weight_and_bias(self, shape, self.out_channels, bias)

    def forward(self, x):
        sizes = self.stride, self.padding, self.output_padding
        return F.conv_transpose2d(x, self.weight, self.bias, *sizes, self.groups, self.dilation)

    def extra_repr(self):
        return f"{super().extra_repr()}, output_padding={self.output_padding}"


def _add_weight_and_bias(module, shape, outputs, bias):
    """PyTorch's default: both uniform, of variance 1 / (3 fan_in)."""
    module.weight = init.kaiming_uniform_(Parameter(np.empty(shape, np.float32)), a=math.sqrt(5))  # gain^2 = 1/3
    bound = 1 / math.sqrt(init.fans(module.weight)[0])
    values = Parameter(np.empty(outputs, np.float32)) if flag(module, "bias", bias) else None
    module.register_parameter("bias", None if values is None else init.uniform_(values, -bound, bound))
