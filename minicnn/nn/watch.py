"""watch: look at what passes through the layers of a network, without changing it.

Each layer that is looked at is given a hook (``hooks.py``) for the present thread, until the block ends. Watches may be
nested, each sees what it asked for.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..settings import kind_of
from ..variable import Variable
from .hooks import Hook
from .module import Module


def is_looked_at(layer: Module) -> bool:
    """Whether a call of the layer in this thread meets a hook, of a user or of ``watch``."""
    hooks = layer._hooks
    return any(hooks.present()) if hooks else False  # mostly there are none


@contextlib.contextmanager
def watch(
    model: Module, callback: Callable[[str, Any, Any, Any], object], names: str | Iterable[str] | None = None
) -> Iterator[None]:
    """``with watch(model, callback): model(x)`` calls callback(name, layer, x, y) after each layer y = layer(x).

    Of a layer that is given several inputs, or keywords, x is the tuple of them. Calls in other threads are not seen,
    nor what the callback itself computes.
    names: the dotted names, as in ``named_modules()``, of the modules to watch; without it, all layers, that is modules
    without modules of their own. ValueError for a name that the model does not have.
    """
    if not isinstance(model, Module):
        raise TypeError(f"watch: looks into a Module, not a {kind_of(model)}")
    if not callable(callback):
        raise TypeError(f"watch: callback is a function of (name, layer, x, y), not a {type(callback).__name__}")
    modules = dict(model.named_modules(remove_duplicate=False))
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Iterable | None):
        raise TypeError(f"watch: names is a name, or several in a list, not a {type(names).__name__}")
    if unknown := [name for name in names or () if name not in modules]:
        top = ", ".join(name for name in modules if name and "." not in name)
        raise ValueError(f"{type(model).__name__} has no layer {unknown[0]!r}; it has {top}, and what is in them")
    if names is None:
        names = [name for name, module in model.named_modules() if not list(module.children())]

    by_layer = {modules[name]: name for name in names}  # a layer with several names is told by the last
    is_calling = False

    @functools.wraps(callback)
    def look(layer, inputs, keywords, output):
        nonlocal is_calling
        if is_calling:  # the callback calls the layer itself
            return
        is_calling = True
        try:
            values = (*inputs, *keywords.values())
            callback(by_layer[layer], layer, values[0] if len(values) == 1 else values, output)
        finally:
            is_calling = False

    with contextlib.ExitStack() as stack:
        for layer in by_layer:
            hook = Hook("watch", look, with_kwargs=True, thread=threading.get_ident())
            stack.enter_context(layer._hook(hook))
        yield


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
        reached.__traceback__ = None  # else it and this frame would hold each other, and with them what has passed
        return passed
    raise ValueError(f"{type(model).__name__} does not use its layer {name!r}")


def tensors_in(value: object) -> list[Variable]:
    """The Tensors in what a layer was given or has made: one, or a tuple, list or dict of such, or anything else."""
    if isinstance(value, (tuple, list, dict)):
        parts = value.values() if isinstance(value, dict) else value
        return [tensor for part in parts for tensor in tensors_in(part)]
    return [value] if isinstance(value, Variable) else []
