"""Parameter groups: what an optimiser shall train, and how, looked at when it is given, and again before each step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..device import device_of
from ..settings import flag, real
from ..types import Array
from ..variable import Variable


def as_groups(params: Any) -> list[Any]:
    """The groups that `params` stands for: dicts, or one of all the Tensors."""
    params = _listed("params", params)
    if not params:
        raise ValueError("SGD: no parameters to train")
    dicts = [isinstance(each, Mapping) for each in params]  # which of them are groups
    if any(dicts) and not all(dicts):
        raise TypeError("SGD: params has both Tensors and groups; make each Tensor a group, {'params': [tensor]}")
    return params if all(dicts) else [{"params": params}]  # Tensors alone are one group


def checked_group(group: Any, defaults: dict[str, Any], present: Iterable[Variable]) -> dict[str, Any]:
    """`group` with the settings that it lacks; its parameters are leaves, of floats, and not among those `present`."""
    if not isinstance(group, Mapping) or "params" not in group:
        raise TypeError('SGD: a group must be a dict {"params": [...], ...}')
    if unknown := [key for key in group if key != "params" and key not in defaults]:
        raise ValueError(f"SGD: a group has no setting {unknown[0]!r}; it has {', '.join(defaults)}")
    params = group["params"]
    params = [params] if isinstance(params, Variable) else _listed('"params"', params)  # a single one will do
    taken = {id(p) for p in present}  # by identity: == of Tensors goes element by element
    for i, parameter in enumerate(params):
        _check_parameter(i, parameter)
        if id(parameter) in taken:
            raise ValueError("SGD: a parameter stands twice among params; it would be changed twice a step")
        taken.add(id(parameter))
    return {**checked_settings({key: group.get(key, value) for key, value in defaults.items()}), "params": params}


def checked_settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """{name: Python's own number} of the settings of SGD; TypeError or ValueError for one that cannot be."""
    settings = {name: real("SGD", name, group[name], at_least=0) for name in ("lr", "momentum", "weight_decay")}
    settings["dampening"] = real("SGD", "dampening", group["dampening"])  # may be negative, as in PyTorch
    settings["nesterov"] = flag("SGD", "nesterov", group["nesterov"])
    if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
        raise ValueError("SGD: nesterov needs a momentum and no dampening")
    return settings  # a NaN among them would have spread into every weight


def belong_together(w: Array, grad: Array, velocity: Array | None) -> bool:
    """Whether a kernel may be handed a parameter with its gradient and its velocity (or None), and reads by one index:
    they are of one shape and dtype, on one device, and w can be written into."""
    if w.dtype.char not in "fd" or not getattr(w.flags, "writeable", True):  # float32, float64
        return False
    return _are_alike(w, grad) and (velocity is None or _are_alike(w, velocity))


def _are_alike(a, b):
    on_one_device = type(a) is type(b) or device_of(a) == device_of(b)  # the first is the quicker, and nearly always so
    return a.shape == b.shape and a.dtype == b.dtype and on_one_device


def unequal(where: str, w: Array, grad: Array, velocity: Array | None) -> ValueError:
    """The error of arrays that do not belong together."""
    named = {"it": w, "its gradient": grad, "its velocity": velocity}
    has = [f"{name} has shape {a.shape}, {a.dtype} on {device_of(a)}" for name, a in named.items() if a is not None]
    rule = "all must be alike, float32 or float64, and it must be writeable"
    advice = "Where parameters are exchanged, make a new optimiser"
    return ValueError(f"SGD.step: {where} cannot be changed: {', '.join(has)}; {rule}. {advice}")


def checked_state(
    state: Any, groups: Sequence[dict[str, Any]], defaults: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """(settings of each group, velocity of each parameter) of what ``state_dict()`` of such groups has given out."""
    parts: list[Any] = [state.get(part) for part in ("groups", "velocities")] if isinstance(state, Mapping) else [None]
    if not all(isinstance(part, (list, tuple)) for part in parts):
        raise ValueError('SGD.load_state_dict: the state must be a dict of two lists, "groups" and "velocities"')
    saved, velocities = parts[0], [None if v is None else _array(v) for v in parts[1]]
    shapes = [p.data.shape for group in groups for p in group["params"]]
    fits = len(velocities) == len(shapes) and len(saved) == len(groups)  # velocities are told by their place alone
    if not fits or any(v is not None and v.shape != shape for v, shape in zip(velocities, shapes, strict=True)):
        what = f"SGD.load_state_dict: the state is of {len(velocities)} parameters in {len(saved)} groups"
        raise ValueError(f"{what}, of other number or shapes than these {len(shapes)} in {len(groups)}")
    if any(not isinstance(each, Mapping) or each.keys() != defaults.keys() for each in saved):
        raise ValueError(f"SGD.load_state_dict: each group of the state must have {', '.join(defaults)}, and no more")
    if any(v is not None and v.dtype.kind not in "fiu" for v in velocities):  # a file may hold anything
        raise TypeError("SGD.load_state_dict: a velocity of the state is no array of numbers")
    return [checked_settings(each) for each in saved], velocities


def _listed(name, params):
    """`params` as a list, if it is several things in an order."""
    if isinstance(params, Variable):
        raise TypeError(f"SGD: {name} is one Tensor, not several; put it into a list, [tensor]")
    if hasattr(params, "parameters"):  # a model
        raise TypeError(f"SGD: {name} is a {type(params).__name__}; give its .parameters()")
    if isinstance(params, (str, Mapping, set, frozenset)) or not isinstance(params, Iterable):  # a set has no order
        raise TypeError(f"SGD: {name} must be a list of Tensors or of groups, not a {type(params).__name__}")
    return list(params)  # an iterator such as model.parameters() is used up here, once


def _check_parameter(i, parameter):
    if not isinstance(parameter, Variable):
        hint = "; give .parameters(), not .named_parameters()" if isinstance(parameter, tuple) else ""
        raise TypeError(f"SGD: entry {i} of params is a {type(parameter).__name__}, not a Tensor{hint}")
    if parameter.node is not None:  # backward leaves no .grad on it
        where = f"entry {i} of params, of shape {parameter.data.shape}"
        advice = "only leaves are trained: give the tensors that it was computed from"
        raise ValueError(f"SGD: {where}, was computed by {type(parameter.node).__name__}; {advice}")
    if parameter.data.dtype.kind != "f":  # counters of batches, say
        raise TypeError(f"SGD: entry {i} of params is {parameter.data.dtype}, which has no gradient; leave it out")


def _array(value):
    value = value.data if isinstance(value, Variable) else value
    return value if hasattr(value, "__cuda_array_interface__") else np.asanyarray(value)  # a GPU's array stays there
