"""Initial weights: how far to spread them so that signals neither die out nor blow up.

Each function fills a tensor in place, from the stream that ``minicnn.manual_seed`` starts, and returns it. For a layer
y = W x with fan_in inputs to each output, the variance of y is fan_in * var(W) * mean(x^2):

    normal_             N(mean, std): AlexNet (Krizhevsky et al., NIPS 2012, section 5) takes std 0.01 everywhere
    xavier_*            var(W) = 2 / (fan_in + fan_out): keeps a linear or tanh network steady
                        (Glorot and Bengio, AISTATS 2010, eq. 12)
    kaiming_* (He)      var(W) = gain^2 / fan: gain^2 = 2 makes up for the half that ReLU sets to zero
                        (He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10); this is what ResNet uses
    bilinear_           a transposed convolution that enlarges maps as bilinear interpolation does
                        (Long et al., "Fully convolutional networks", CVPR 2015, section 3.3)
    constant_           biases: 0; or 1 in some of AlexNet's layers, so that their ReLUs start out alive; or "slightly
                        positive", such as 0.01

Names, arguments and defaults are those of ``torch.nn.init``, which has no bilinear_.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..absent import absent
from ..random import init_generator
from ..tensor import Tensor

T = TypeVar("T", bound=Tensor)


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0) -> T:
    """Normal numbers."""
    numbers = init_generator().standard_normal(tensor.shape, tensor.dtype)
    return _fill(tensor, numbers * std + mean)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0) -> T:
    """Uniform numbers in [a, b)."""
    numbers = init_generator().random(tensor.shape, tensor.dtype)
    return _fill(tensor, numbers * (b - a) + a)


def constant_(tensor: T, val: float) -> T:
    """One value everywhere."""
    return _fill(tensor, val)


def zeros_(tensor: T) -> T:
    """0 everywhere."""
    return _fill(tensor, 0.0)


def ones_(tensor: T) -> T:
    """1 everywhere."""
    return _fill(tensor, 1.0)


def xavier_normal_(tensor: T, gain: float = 1.0) -> T:
    """Normal numbers of variance gain^2 * 2 / (fan_in + fan_out)."""
    return normal_(tensor, std=gain * math.sqrt(2 / sum(fans(tensor))))


def xavier_uniform_(tensor: T, gain: float = 1.0) -> T:
    """Uniform numbers of the same variance."""
    return _uniform_std(tensor, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_normal_(tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> T:
    """Normal numbers of variance gain^2 / fan.

    mode: "fan_in" keeps the signals' variance from layer to layer, "fan_out" the gradients'. nonlinearity: what follows
    the layer, and a, its slope below 0 (of "leaky_relu", which is a ReLU at a = 0), give the gain.
    """
    return normal_(tensor, std=calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))


def kaiming_uniform_(tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> T:
    """Uniform numbers of the same variance."""
    return _uniform_std(tensor, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))


def bilinear_(tensor: T, groups: int = 1) -> T:
    """Weights (C, C/groups, KH, KW) of a transposed convolution that interpolates each channel by itself, linearly in
    both directions: a tent, 1 in the middle and 0 one stride away from it, and 0 from one channel to another.

    A kernel of 2s - 1 is for stride s where every s-th output stands at an input, one of 2s where inputs stand half way
    between two outputs, as pixels of twice the size do. ValueError for weights of another shape.
    """
    channels, group, *kernel = tensor.shape if tensor.ndim == 4 else (0, 0)
    if not channels or groups < 1 or group * groups != channels:
        what = f"needs a weight (C, C/{groups}, KH, KW) for {groups} groups, as many channels out as in"
        raise ValueError(f"bilinear_: {what}; got shape {tensor.shape}")
    tents = [1 - np.abs(np.arange(k) - (k - 1) / 2) / ((k + 1) // 2) for k in kernel]  # k = 4: 1/4 3/4 3/4 1/4
    weight = np.zeros(tensor.shape)
    weight[np.arange(channels), np.arange(channels) % group] = np.outer(*tents)  # channel c to itself, in its group
    return _fill(tensor, weight.astype(tensor.dtype))


def calculate_gain(nonlinearity: str, param: float = 0.0) -> float:
    """By how much a layer's weights must make up for what the nonlinearity behind it takes away."""
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    gains["leaky_relu"] = math.sqrt(2 / (1 + param**2))
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: nonlinearity must be one of {', '.join(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (OC, C, ...): inputs to each output, and outputs that each input reaches."""
    if tensor.ndim < 2:
        raise ValueError(f"a fan needs a weight of two axes or more, (OC, C, ...), got shape {tensor.shape}")
    out_channels, channels, *kernel = tensor.shape
    return channels * math.prod(kernel), out_channels * math.prod(kernel)


def _fan(tensor, mode):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'mode must be "fan_in" or "fan_out", got {mode!r}')
    return fans(tensor)[mode == "fan_out"]


def _uniform_std(tensor, std):
    return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std)


def _fill(tensor, values):
    tensor.detach()[...] = values
    return tensor


if not TYPE_CHECKING:  # a type checker would take every name for one that is there

    def __getattr__(name):
        raise absent("init", name)
