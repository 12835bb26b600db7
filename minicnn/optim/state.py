"""What an optimiser keeps for its parameters, looked at before each step, and when it is loaded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..device import device_of
from ..immutable import is_immutable, is_writeable
from ..settings import kind_of, whole
from ..types import Array
from ..variable import Variable, is_float

MOST_STEPS = 1 << 53  # what floats count to


def belong_together(w: Array, grad: Array, *kept: Array | None) -> bool:
    """Whether a kernel may be handed a parameter with its gradient and what is kept for it (or None), and reads by one
    index: they are of one shape and dtype, on one device, and all but the gradient can be written into."""
    if w.dtype.char not in "fd" or not is_writeable(w):  # float32, float64
        return False
    return _are_alike(w, grad) and all(a is None or (_are_alike(w, a) and is_writeable(a)) for a in kept)


def _are_alike(a, b):
    on_one_device = type(a) is type(b) or device_of(a) == device_of(b)  # the first is the quicker, and nearly always so
    return a.shape == b.shape and a.dtype == b.dtype and on_one_device


def unequal(optimizer: Any, where: str, *arrays: Array | None) -> ValueError:
    """The error of arrays that do not belong together: w, its gradient, and what is kept for it."""
    named = zip(("it", "its gradient", *(f"its {name}" for name in optimizer.kept)), arrays, strict=True)
    has = [f"{name} has shape {a.shape}, {a.dtype} on {device_of(a)}" for name, a in named if a is not None]
    rule = "all must be alike, float32 or float64, and writeable, but for the gradient"
    advice = "Where parameters are exchanged, make a new optimiser"
    if is_immutable(arrays[0]):
        advice = "The network is sealed: minicnn.seal(model, False) ends that"
    what = f"{type(optimizer).__name__}.step: {where} cannot be changed"
    return ValueError(f"{what}: {', '.join(has)}; {rule}. {advice}")


def check_loss(what: str, loss: Any, devices: Sequence[str]) -> None:
    """TypeError or ValueError, beginning with `what`, for a loss that no kernel can look at beside parameters there."""
    if not isinstance(loss, Variable):
        raise TypeError(f"{what}: loss is a {kind_of(loss)}, not a Tensor")
    if loss.data.shape != () or not is_float(loss.data.dtype):
        has = f"shape {loss.data.shape}, {loss.data.dtype}"
        raise ValueError(f"{what}: loss must be a single number, a float Tensor of shape (); it has {has}")
    if others := {device for device in devices if device != device_of(loss.data)}:
        where = f"loss is on {device_of(loss.data)!r}, a parameter on {min(others)!r}"
        raise ValueError(f"{what}: {where}; move one with .to(...)")


def checked_state(optimizer: Any, state: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(settings of each group, {name: what is kept} of each parameter) of what ``state_dict()`` has given out."""
    who, names = f"{type(optimizer).__name__}.load_state_dict", {**optimizer.kept, **optimizer.counted}
    groups, *columns = _lists(who, ["groups", *names.values()], state)
    own = [p.data.shape for group in optimizer.param_groups for p in group["params"]]
    if len(groups) != len(optimizer.param_groups) or any(len(column) != len(own) for column in columns):
        lengths = " or ".join(map(str, sorted({len(column) for column in columns})))
        what = f"{who}: the state is of {lengths} parameters in {len(groups)} groups"
        raise ValueError(f"{what}, not of these {len(own)} in {len(optimizer.param_groups)}")
    if any(not isinstance(each, Mapping) or each.keys() != optimizer.defaults.keys() for each in groups):
        raise ValueError(f"{who}: each group of the state must have {', '.join(optimizer.defaults)}, and no more")
    states = []
    for i, shape in enumerate(own):  # parameters are told by their place alone
        kept = {}
        for (name, several), column in zip(names.items(), columns, strict=True):
            if column[i] is not None:
                check = _checked_count if name in optimizer.counted else _checked_array
                kept[name] = check(who, f"{several}[{i}]", column[i], shape)
        optimizer.check_kept(f"{who}: parameter {i}", kept)
        states.append(kept)
    return [optimizer.checked_settings(each) for each in groups], states


def _lists(who, keys, state):
    found = [state.get(key) for key in keys] if isinstance(state, Mapping) else [None]
    if not all(isinstance(each, (list, tuple)) for each in found):
        has = ", ".join(map(str, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
        what = f"{who}: the state must have the lists {', '.join(keys)}, but has {has or 'nothing'}"
        raise ValueError(f"{what}; give what an optimiser of this kind has saved")
    return found


def _checked_count(who, name, value, _):
    return whole(who, name, value, 1, MOST_STEPS)


def _checked_array(who, name, value, shape):
    value = value.data if isinstance(value, Variable) else value
    array = value if hasattr(value, "__cuda_array_interface__") else np.asanyarray(value)  # a GPU's array stays there
    if array.shape != shape:
        raise ValueError(f"{who}: {name} has shape {array.shape}, its parameter {shape}; the state is of other ones")
    if array.dtype.kind not in "fiu":  # a file may hold anything
        raise TypeError(f"{who}: {name} is no array of numbers")
    return array
