"""What ``state_dict()`` has given out, into a model: all of it is checked before any of it is written."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..device import host_array
from ..immutable import is_writeable
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` passed over."""

    missing_keys: list
    unexpected_keys: list

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def load_state(model: str, own: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Write `state` into the tensors of `own`, {key: Tensor}. model: its name. See ``load_state_dict``."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: takes a dict of arrays by name, not a {type(state).__name__}")
    state = {key: value for key, value in state.items() if str(key).rpartition(".")[2] != "num_batches_tracked"}
    given = {id(own[key].data) for key in state if key in own}  # a tied tensor is there if one of its names is
    missing = [key for key, tensor in own.items() if id(tensor.data) not in given]
    surplus = [key for key in state if key not in own]
    if strict and (missing or surplus):
        why = f"{len(missing)} keys are missing{_some(missing)}, {len(surplus)} are surplus{_some(surplus)}"
        inside = [key for key, value in state.items() if isinstance(value, Mapping) and own.keys() <= value.keys()]
        advice = f"; it is in there: give state[{inside[0]!r}]" if inside else ""
        raise KeyError(f"load_state_dict: the state is of another model than this {model}: {why}{advice}")
    arrays = {key: host_array(value) for key, value in state.items() if key in own}
    if wrong := [f"{key}: {a.dtype}" for key, a in arrays.items() if a.dtype.kind not in "fiub"]:
        raise TypeError(f"load_state_dict: {len(wrong)} entries are no numbers{_some(wrong)}")
    if wrong := [f"{key}: {a.shape}, not {own[key].shape}" for key, a in arrays.items() if a.shape != own[key].shape]:
        raise ValueError(f"load_state_dict: {len(wrong)} shapes differ from this {model}'s{_some(wrong)}")
    if wrong := _torn(own, arrays):
        raise ValueError(f"load_state_dict: of one tensor of this {model} the state has two values{_some(wrong)}")
    if sealed := [key for key in arrays if not is_writeable(own[key].data)]:
        what = f"{len(sealed)} tensors of this {model} cannot be written to{_some(sealed)}"
        raise ValueError(f"load_state_dict: {what}; minicnn.seal(model, False) ends that")
    new = {key: Tensor(a.astype(own[key].dtype)).to(own[key].device) for key, a in arrays.items()}
    for key, tensor in new.items():
        own[key][...] = tensor
    return IncompatibleKeys(missing, surplus)


def _torn(own, arrays):
    """Pairs of names that are one tensor here, but not in the state."""
    first, torn = {}, []
    for key, array in arrays.items():
        other = first.setdefault(id(own[key].data), key)
        if other != key and not np.array_equal(array, arrays[other], equal_nan=True):
            torn.append(f"{other} and {key}")
    return torn


def _some(names):
    """The first few of a list of names, for an error message."""
    if not names:
        return ""
    return f" ({', '.join(map(str, names[:3]))}{', ...' if len(names) > 3 else ''})"
