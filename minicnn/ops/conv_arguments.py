"""What conv2d and the ops around it are given: whether it goes together, and what their nodes take."""

from typing import Any

from ..settings import whole
from .arguments import check_tensors
from .geometry import check_images, output_size, pair

MOST = 1024  # arguments that were found to be right, and need no second look

_found: dict[tuple[Any, ...], dict[str, Any]] = {}


def checked_geometry(op: str, inputs: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> dict[str, Any]:
    """The options of a convolution's node, after a look at all arguments; inputs: (input, weight, bias)."""
    input, weight, bias = inputs
    check_tensors(op, {"input": input, "weight": weight}, {"bias": bias})
    key = None
    if type(stride) is type(padding) is type(dilation) is tuple:  # as layers give them, at each call the same
        numbers = *stride, *padding, *dilation, groups
        if set(map(type, numbers)) == {int}:  # no float, which is equal to an int
            shapes = input.data.shape, weight.data.shape, None if bias is None else bias.data.shape
            key = op, shapes, stride, padding, dilation, groups
    found = None if key is None else _found.get(key)
    if found is None:
        found = _geometry(op, inputs, stride, padding, dilation, groups)
        if len(_found) >= MOST:
            _found.clear()
        if key is not None:
            _found[key] = found
    return found


def _geometry(op, inputs, stride, padding, dilation, groups):
    """The same, of Tensors."""
    input, weight, bias = inputs
    groups = whole(op, "groups", groups)
    _check_shapes(op, input, weight, bias, groups)  # from here on groups divides C and OC
    stride, dilation = pair(op, "stride", stride, 1), pair(op, "dilation", dilation, 1)
    padding = _padding_of_sides(op, padding, weight.data.shape[2:], stride, dilation)
    output_size(op, input.data.shape[2:], weight.data.shape[2:], stride, padding, dilation)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def _padding_of_sides(op, padding, kernel, stride, dilation):
    """The padding as ((top, bottom), (left, right))."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f'{op}: padding="same" needs stride 1, got {stride}; give the padding in numbers')
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]  # by which the output would be smaller
        return tuple((total // 2, total - total // 2) for total in totals)  # if odd, one more behind
    if isinstance(padding, str):
        raise ValueError(f'{op}: padding must be numbers, "same" or "valid", got {padding!r}')
    return tuple((p, p) for p in pair(op, "padding", padding, 0))  # as much before as behind


def _check_shapes(op, x, weight, bias, groups):
    """ValueError unless the Variables are (N, C, H, W), (OC, C/groups, KH, KW) and (OC,) with the same C and OC."""
    check_images(op, x)
    shape, filters = x.data.shape, weight.data.shape  # (N, C, H, W), (OC, C/groups, KH, KW)
    if len(filters) != 4 or 0 in (filters[0], *filters[2:]):
        raise ValueError(f"{op}: weight must be (OC, C/groups, KH, KW), none of them 0, got {filters}")
    channels, out_channels = shape[1], filters[0]
    if channels % groups or out_channels % groups:
        both = f"the {channels} input and the {out_channels} output channels"
        raise ValueError(f"{op}: groups must divide {both}, got {groups}")
    if filters[1] != channels // groups:
        what = f"weight of shape {filters} takes {filters[1]} channels in each of {groups} group(s)"
        last = shape[3] == filters[1] * groups  # as other libraries have them
        advice = "; pictures (N, H, W, C) want x.permute(0, 3, 1, 2)" if last else ""
        raise ValueError(f"{op}: {what}, but input of shape {shape} has {channels // groups}{advice}")
    if bias is not None and bias.data.shape != (out_channels,):
        raise ValueError(f"{op}: bias must have shape ({out_channels},), one for each filter, got {bias.data.shape}")
