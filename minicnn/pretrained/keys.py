"""Other people's state dicts under the names of one's own network, whatever kind of file they come from.

    {"state_dict": {...}, "epoch": 3, ...}   what training programs save        find_state_dict
    module.  _orig_mod.  ...                 DataParallel, torch.compile, FSDP  plain, for_model
    model.  net.  ...                        the network inside a larger one    for_model
    linear.  for  fc.                        ResNets for CIFAR                  for_model
    aux1.  aux2.  AuxLogits.                 auxiliary heads, if the network    for_model
                                             here is without them

Nothing is guessed from one name alone: what is taken off is shared by all names, or is a part that the network does not
have. The shapes decide in the end, and every key must fit.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..models import ResNet
from ..nn import Module
from .error import WeightsError

WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net_state", "net", "network"),
    *("weights", "params", "module"),
)
AVERAGES = ("state_dict_ema", "model_ema_state_dict", "model_ema", "ema_state_dict", "ema_model", "ema", "params_ema")
DEEPEST = 3  # wrappers in one another
HIDDEN = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
WRAPPED = ("module", *HIDDEN)
PROJECTED = {"plain": False, "shortcut": "B"}
OPTION_A = {"plain": False, "zero_padding": "around"}  # which shapes do not show, and most predictions depend on
SURPLUS = ("num_batches_tracked", "n_averaged", "total_ops", "total_params")  # counters: nothing to load


def find_state_dict(value: Any, is_tensor: Callable[[Any], bool], path: Path | str) -> dict[str, Any] | None:
    """The dict of tensors in what a training program has saved; None if there is none.

    It is the value itself, or stands under one of WRAPPERS, else under one of AVERAGES (so a file that has both gives
    the weights that were trained, not their running average), else under a name of its own, perhaps wrapped again.
    WeightsError, naming them, if there are several of equal rank.
    """
    known = {}  # by id: a small pickle may hold one large dict many times

    def is_state(entry):
        if id(entry) not in known:
            proper = isinstance(entry, dict) and bool(entry)
            known[id(entry)] = proper and all(isinstance(k, str) and is_tensor(v) for k, v in entry.items())
        return known[id(entry)]

    def find(entry, depth):
        if (id(entry), depth) not in known:
            known[id(entry), depth] = look_into(entry, depth)
        return known[id(entry), depth]

    def look_into(entry, depth):
        if is_state(entry):
            return entry
        if not isinstance(entry, dict) or depth == 0:
            return None
        for names in (WRAPPERS, AVERAGES):
            found = {name: state for name in names if (state := find(entry.get(name), depth - 1)) is not None}
            if found:
                return only(found)
        return only({name: each for name, each in entry.items() if is_state(each)})

    def only(found):
        if len({id(state) for state in found.values()}) > 1:
            first, second = list(found)[:2]
            raise WeightsError(
                f"{path} holds {len(found)} state dicts, under {first!r:.60} and {second!r:.60}; choose one and save "
                f"it alone: torch.save(torch.load(path)[{first!r:.60}], another)"
            )
        return next(iter(found.values()), None)

    try:
        return find(value, DEEPEST)
    finally:
        known.clear()  # find and look_into hold each other, and would hold all weights until Python looks for circles


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """`state` without what DataParallel and torch.compile add to all of its names."""
    names = {key: _without(key, HIDDEN) for key in state}
    while _shared_prefix(names) == "module":
        names = _without_prefix(names)
    return _renamed(state, names)


def for_model(state: dict[str, Any], model: Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """`state` under the names of `model`, as far as they can be told, and the settings that these names give away: of
    the ResNets for CIFAR in PyTorch, whose last layer is called ``linear``, how they are built; else none. What is left
    over is kept, so that ``load_state_dict`` names it, but for SURPLUS and auxiliary heads that the model lacks."""
    own = model.state_dict().keys()
    parts = {part for key in own for part in key.split(".")}
    wrapped = [part for part in WRAPPED if part not in parts]
    names = {key: _without(key, wrapped) for key in state if key.rpartition(".")[2] not in SURPLUS or key in own}
    names = _inside(names, own)
    absent = {part for part in getattr(model, "AUXILIARY", ()) if part not in parts}
    names = {key: name for key, name in names.items() if name.partition(".")[0] not in absent}
    settings = {}
    if isinstance(model, ResNet) and "linear.weight" in names.values() and "fc.weight" not in names.values():
        names = {key: re.sub(r"^linear\.", "fc.", name) for key, name in names.items()}
        names = {key: name.replace(".shortcut.", ".downsample.") for key, name in names.items()}
        settings = PROJECTED if any(".downsample." in name for name in names.values()) else OPTION_A
    return _renamed(state, names), settings


def _without(key, parts):
    return ".".join(part for part in key.split(".") if part not in parts)


def _inside(names, own):
    """`names` without the parts that all of them begin with, if some of them are the network's then."""
    shorter = names
    while not own & set(shorter.values()):
        if _shared_prefix(shorter) is None:
            return names
        shorter = _without_prefix(shorter)
    return shorter


def _shared_prefix(names):
    """The first part of all the names, but for those of SURPLUS counters; None if they differ or have no second one."""
    counted = [name for name in names.values() if name not in SURPLUS]
    first = {name.partition(".")[0] if "." in name else None for name in counted}
    return first.pop() if len(first) == 1 else None


def _without_prefix(names):
    return {key: name.partition(".")[2] if "." in name else name for key, name in names.items()}


def _renamed(state, names):
    """The entries that have a name, under it; all as they were if two of them would have one name."""
    if len(set(names.values())) < len(names):
        return state
    return {name: state[key] for key, name in names.items()}
