"""Padding by a constant: an array grows on each side of each axis, or shrinks where the padding is negative.

Shapes    x (any)   ->   y: an axis of length L has before + L + after
Forward   y[o, ...] = x[o - before, ...] where that is inside of x on every axis, else value
Backward  grad_x[i, ...] = grad_out[i + before, ...] where that is inside of y, else 0: it was cut off
          That is grad_out, padded by the negative numbers
Saves     nothing
Mirrors   kernels/cpu/pad.py   kernels/numba_cuda/pad.py   kernels/cuda/pad.cu
Test      tests/ops/test_pad.py
"""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Function
from ..device import full
from ..settings import ANY, one_of, whole
from ..types import Array, Shape
from ..variable import V, is_float
from .arguments import check_tensors
from .operands import as_constant

Padding = tuple[tuple[int, int], ...]  # (before, after) of each axis, the first axis first

INSTEAD = {  # what to write for a before and b behind the last axis, both at least 1
    "reflect": "minicnn.cat([x[..., a:0:-1], x, x[..., -2:-b-2:-1]], -1)",
    "replicate": "minicnn.cat([x[..., :1]] * a + [x] + [x[..., -1:]] * b, -1)",
    "circular": "minicnn.cat([x[..., -a:], x, x[..., :b]], -1)",
}


def pad(input: V, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> V:
    """input with `value` (0) around it, as ``torch.nn.functional.pad``.

    pad   (before, after) of the last axis, then of the one before it, ...: (left, right, top, bottom) of pictures.
          A negative number cuts off.

    Integers and masks are padded, too. ValueError where more is cut off than there is, TypeError for a value that the
    dtype does not hold. PyTorch's other modes are refused with what to write instead.
    """
    check_tensors("pad", {"input": input})
    if mode in INSTEAD:
        what = f'pad: mode {mode!r} is not built, only "constant"; for a before and b behind the last axis write'
        raise ValueError(f"{what} {INSTEAD[mode]}")
    one_of("pad", "mode", mode, ("constant",))
    return Pad.apply(input, padding=_checked_padding(input.data.shape, pad), value=_checked_value(input.data, value))


class Pad(Function):
    takes_bfloat16 = True

    def forward(self, x, padding, value):
        self.padding = padding
        if not is_float(x.dtype):  # they have no gradient, and kernels take floats: either array library does it
            return pad_forward(x, padding, value)
        return self.run(pad_forward, x, padding, value)

    def backward(self, grad_out):
        negative = tuple((-before, -after) for before, after in self.padding)
        return self.run(pad_forward, grad_out, negative, 0.0)


def pad_forward(x: Array, padding: Padding, value: float) -> Array:
    """y, of x's shape and (before, after) more on each axis."""
    y = full(x, padded_shape(x.shape, padding), value)
    inside, kept = [], []  # slices of y and of x
    for length, (before, after) in zip(x.shape, padding, strict=True):
        left = length + min(before, 0) + min(after, 0)  # what is not cut off
        inside.append(slice(max(before, 0), max(before, 0) + left))
        kept.append(slice(max(-before, 0), max(-before, 0) + left))
    y[tuple(inside)] = x[tuple(kept)]
    return y


def padded_shape(shape: Shape, padding: Padding) -> Shape:
    """The shape of y."""
    return tuple(before + length + after for length, (before, after) in zip(shape, padding, strict=True))


def _checked_padding(shape, pad):
    """The padding of every axis, in the axes' order."""
    pad = pad.tolist() if isinstance(pad, np.ndarray) else pad
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: pad must be pairs of whole numbers, (before, after) of the last axis first, got {pad!r}")
    sizes = [whole("pad", "pad", each, at_least=ANY) for each in pad]
    if len(sizes) % 2 or len(sizes) > 2 * len(shape):
        what = f"pad: pad must have two numbers for each axis, of at most {len(shape)} axes of shape {shape}"
        raise ValueError(f"{what}, got {tuple(sizes)}")
    pairs = [(0, 0)] * (len(shape) - len(sizes) // 2) + list(zip(sizes[::2], sizes[1::2], strict=True))[::-1]
    for axis, (length, (before, after)) in enumerate(zip(shape, pairs, strict=True)):
        if length + min(before, 0) + min(after, 0) < 0:
            raise ValueError(
                f"pad: ({before}, {after}) cuts off more than the {length} of axis {axis} of shape {shape}"
            )
    return tuple(pairs)


def _checked_value(x: Array, value: Any):
    """A number that x's dtype holds."""
    value = 0 if value is None else value
    if not isinstance(value, numbers.Real):
        raise TypeError(f"pad: value must be a number, got a {type(value).__name__}")
    if x.dtype.kind == "b":
        if value not in (0, 1):
            raise TypeError(f"pad: {value} around a mask of booleans; value must be True or False")
    else:
        as_constant("pad", value, x)  # TypeError where an integer dtype does not hold it
    return float(value) if is_float(x.dtype) else value
