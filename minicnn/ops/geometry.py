"""How a window slides over an image: the sizes that convolution and pooling share, and their checks.

Along one axis, a window of `kernel` taps, `dilation` apart, spans ``dilation * (kernel - 1) + 1`` positions. It
starts `pad` positions before the image and moves by `stride`, so it comes to stand in

    out = floor((size + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride) + 1

places. (Lecture notes sometimes print W' = (W - F + 2P) / (S + 1): wrong; the 1 is added to the quotient, and the
division drops its remainder.) With ``ceil_mode`` it is rounded up instead, except that the last window must start
inside the image or its leading padding.
"""

import functools
import math
from typing import Any

from ..settings import both, whole_or_pair
from ..variable import Variable
from .arguments import check_tensors

LARGEST = 2**31 - 1  # a stride, a padding or a size of a window; kernels count in 32 bits


def pair(op: str, name: str, value: Any, minimum: int) -> tuple[int, int]:
    """`value`, an int or two of them, as (height, width); ValueError below `minimum`, TypeError if not whole."""
    return both(whole_or_pair(op, name, value, minimum, LARGEST))


def check_images(op: str, x: Variable, min_channels: int = 0) -> None:
    """ValueError unless the Variable `x` holds images (N, C, H, W)."""
    check_tensors(op, {"input": x})
    if x.data.ndim != 4:
        what = f"{op}: input must have the four axes (N, C, H, W), got shape {x.data.shape}"
        raise ValueError(f"{what}; x[None] adds the axis of a batch, x[:, None] that of grey pictures' one channel")
    if x.data.shape[1] < min_channels:
        raise ValueError(f"{op}: input has no channels, shape {x.data.shape}")


def output_size(
    op: str, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False
) -> tuple[int, int]:
    """(OH, OW) for images of `size` (H, W); padding is ((top, bottom), (left, right)). ValueError if nothing fits."""
    return _output_size(op, tuple(size), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation), ceil_mode)


@functools.lru_cache(1024)  # a network asks the same again with each batch
def _output_size(op, size, kernel, stride, padding, dilation, ceil_mode):
    height, width = (
        _positions(op, axis, ceil_mode, *geometry)
        for axis, *geometry in zip(("height", "width"), size, kernel, stride, padding, dilation, strict=True)
    )
    return height, width


def _positions(op, axis, ceil_mode, size, kernel, stride, padding, dilation):
    """The number of positions along one axis."""
    padded, span = size + sum(padding), dilation * (kernel - 1) + 1
    positions = (padded - span) // stride + 1  # // leaves the remainder out
    if ceil_mode:
        positions = math.ceil((padded - span) / stride) + 1
        if (positions - 1) * stride >= size + padding[0]:  # the last window would start behind the image
            positions -= 1
    if positions < 1:
        raise ValueError(
            f"{op}: the window does not fit: its {axis} spans {span} (kernel {kernel}, dilation {dilation}), but the "
            f"padded image has {padded} ({size} + {padding[0]} + {padding[1]}); use larger images or a smaller kernel"
        )
    return positions


def tap(u: int, v: int, out_size: Any, stride: Any, dilation: Any) -> tuple[Any, ...]:
    """The index of what tap (u, v) of the window sees, over all positions: ``xpad[..., rows, columns]``."""
    return (
        ...,
        *(
            slice(at * d, at * d + (out - 1) * s + 1, s)  # from at*d in steps of s, `out` of them
            for at, out, s, d in zip((u, v), out_size, stride, dilation, strict=True)
        ),
    )
