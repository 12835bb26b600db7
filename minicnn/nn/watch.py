"""watch: look at what passes through the layers of a network, without changing it.

``Module.__call__`` tells the watchers of its thread, of which there are almost always none. They may be nested, each
sees what it asked for, and the network itself is left as it is: nothing is put into its place that would have to be
taken back.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..variable import Variable


class _Watchers(threading.local):
    def __init__(self):
        self.present = []


watchers = _Watchers()  # of the present thread


class _Watcher:
    """One ``with watch(...)``: the layers that it looks at, by their ids, and what it calls."""

    def __init__(self, names, callback):
        self.names, self.callback, self.is_calling = names, callback, False

    def after(self, layer, inputs, keywords, output):
        name = self.names.get(id(layer))
        if name is None or self.is_calling:  # what the callback itself computes is not watched
            return
        self.is_calling = True
        try:
            values = (*inputs, *keywords.values())
            self.callback(name, layer, values[0] if len(values) == 1 else values, output)
        finally:
            self.is_calling = False


def is_watched(layer: object) -> bool:
    """Whether somebody in this thread looks at what the layer computes."""
    return any(id(layer) in watcher.names for watcher in watchers.present)


@contextlib.contextmanager
def watch(
    model: Any, callback: Callable[[str, Any, Any, Any], object], names: str | Iterable[str] | None = None
) -> Iterator[None]:
    """``with watch(model, callback): model(x)`` calls callback(name, layer, x, y) after each layer y = layer(x).

    Of a layer that is given several inputs, or keywords, x is the tuple of them. Calls in other threads are not seen.
    names: the dotted names, as in ``named_modules()``, of the modules to watch; without it, all layers, that is modules
    without modules of their own. ValueError for a name that the model does not have.
    """
    if not hasattr(model, "named_modules"):
        raise TypeError(f"watch: looks into a Module, not a {type(model).__name__}")
    if not callable(callback):
        raise TypeError(f"watch: callback is a function of (name, layer, x, y), not a {type(callback).__name__}")
    modules = dict(model.named_modules(remove_duplicate=False))
    names = [names] if isinstance(names, str) else names
    if unknown := [name for name in names or () if name not in modules]:
        top = ", ".join(name for name in modules if name and "." not in name)
        raise ValueError(f"{type(model).__name__} has no layer {unknown[0]!r}; it has {top}, and what is in them")
    if names is None:
        names = [name for name, module in model.named_modules() if not list(module.children())]

    watcher = _Watcher({id(modules[name]): name for name in names}, callback)
    present = watchers.present  # of this thread, whichever one the block is left in
    present.append(watcher)
    try:
        yield
    finally:
        present.remove(watcher)


def output_of(model: Any, name: str, x: Variable) -> Any:
    """What the layer called `name` makes of `x`, a batch that enters the model; of a layer that is used several times,
    what it makes the first time. Nothing after it is computed. ValueError for a name that the model does not have."""
    return _first_pass(model, name, x)[1]


def input_of(model: Any, name: str, x: Variable) -> Any:
    """What the layer called `name` gets to see of `x`; otherwise like ``output_of``."""
    return _first_pass(model, name, x)[0]


class _Reached(BaseException):
    """The layer has been reached. No Exception: a network that catches those would go on."""


def _first_pass(model, name, x):
    reached, passed = _Reached(), []

    def stop(name, layer, x, y):
        passed.extend((x, y))
        raise reached

    try:
        with watch(model, stop, [name]):
            model(x)
    except _Reached as caught:
        if caught is not reached:  # the layer that a pass around this one is waiting for
            raise
        return passed
    raise ValueError(f"{type(model).__name__} does not use its layer {name!r}")


def tensors_in(value: object) -> list[Variable]:
    """The Tensors in what a layer was given or has made: one, or a tuple, list or dict of such, or anything else."""
    if isinstance(value, (tuple, list, dict)):
        parts = value.values() if isinstance(value, dict) else value
        return [tensor for part in parts for tensor in tensors_in(part)]
    return [value] if isinstance(value, Variable) else []
