"""Initial weights: how far to spread them so that signals neither die out nor blow up.

Each function fills a tensor in place, from the stream that ``minicnn.manual_seed`` starts, and returns it. For a layer
y = W x with fan_in inputs to each output, the variance of y is fan_in * var(W) * mean(x^2):

    normal_             N(mean, std): AlexNet (Krizhevsky et al., NIPS 2012, section 5) takes std 0.01 everywhere
    xavier_*            var(W) = 2 / (fan_in + fan_out): keeps a linear or tanh network steady
                        (Glorot and Bengio, AISTATS 2010, eq. 12)
    kaiming_* (He)      var(W) = gain^2 / fan: gain^2 = 2 makes up for the half that ReLU sets to zero
                        (He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10); this is what ResNet uses
    constant_           biases: 0; or 1 in some of AlexNet's layers, so that their ReLUs start out alive; or "slightly
                        positive", such as 0.01
"""

import math

from ..random import init_generator

SQRT2 = math.sqrt(2)


def normal_(tensor, mean=0.0, std=1.0):
    """Normal numbers."""
    numbers = init_generator().standard_normal(tensor.shape, tensor.dtype)
    return _fill(tensor, numbers * std + mean)


def uniform_(tensor, low=0.0, high=1.0):
    """Uniform numbers in [low, high)."""
    numbers = init_generator().random(tensor.shape, tensor.dtype)
    return _fill(tensor, numbers * (high - low) + low)


def constant_(tensor, value):
    """One value everywhere."""
    return _fill(tensor, value)


def xavier_normal_(tensor, gain=1.0):
    """Normal numbers of variance gain^2 * 2 / (fan_in + fan_out)."""
    return normal_(tensor, std=gain * math.sqrt(2 / sum(fans(tensor))))


def xavier_uniform_(tensor, gain=1.0):
    """Uniform numbers of the same variance."""
    return _uniform_std(tensor, gain * math.sqrt(2 / sum(fans(tensor))))


def kaiming_normal_(tensor, mode="fan_in", gain=SQRT2):
    """Normal numbers of variance gain^2 / fan; "fan_out" keeps the gradients' variance instead of the signals'."""
    return normal_(tensor, std=gain / math.sqrt(_fan(tensor, mode)))


def kaiming_uniform_(tensor, mode="fan_in", gain=SQRT2):
    """Uniform numbers of the same variance."""
    return _uniform_std(tensor, gain / math.sqrt(_fan(tensor, mode)))


def fans(tensor):
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
