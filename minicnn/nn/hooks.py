"""Hooks: functions that a layer calls with what goes into it, or with what it has made of it.

    with layer.register_forward_hook(lambda layer, inputs, output: print(output.shape)):
        model(x)

The rules are PyTorch's: hooks are called in the order in which they came, each one is given what the one before it has
returned, and None changes nothing. ``watch`` is built of them, and ``summary`` of ``watch``.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False)  # two hooks with the same function are two
class Hook:
    """One function of a layer."""

    kind: str  # "forward hook" or "forward pre-hook"; or "watch", which is called as a forward hook
    function: Callable[..., Any]
    with_kwargs: bool  # whether it is given the keywords of the call, too
    thread: int | None = None  # called in this one only, by its number; None: in all of them

    def call(self, layer: Any, inputs: tuple, keywords: Mapping[str, Any], *output: Any) -> Any:
        """What the function returns; its error with a note that says whose it is."""
        try:
            return self.function(layer, inputs, *([keywords] if self.with_kwargs else []), *output)
        except Exception as error:
            name = getattr(self.function, "__qualname__", type(self.function).__name__)
            error.add_note(f"raised by the {self.kind} {name} of {type(layer).__name__}({layer.extra_repr()})")
            raise


class Handle:
    """What registering a hook returns: ``remove()`` takes it away again, and so does the end of a ``with`` block."""

    def __init__(self, hooks: "Hooks", hook: Hook) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """The hook is called no more; a second time, nothing happens."""
        with contextlib.suppress(ValueError):  # it is gone already
            self._hooks.list_of(self._hook).remove(self._hook)

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()


class Hooks:
    """The hooks of one layer, each list in the order in which they are called."""

    def __init__(self) -> None:
        self.before: list[Hook] = []
        self.after: list[Hook] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.before or self.after)

    def list_of(self, hook: Hook) -> list[Hook]:
        """The one of the two lists that the hook belongs to."""
        return self.before if hook.kind == "forward pre-hook" else self.after

    def add(self, hook: Hook, prepend: bool = False) -> Handle:
        """Put a hook at the end of its list, or at the beginning; TypeError if it is no function."""
        if not callable(hook.function):
            raise TypeError(f"a {hook.kind} is a function, not a {type(hook.function).__name__}")
        hooks = self.list_of(hook)
        hooks.insert(0 if prepend else len(hooks), hook)
        return Handle(self, hook)

    def present(self) -> Iterator[Hook]:
        """Those that a call in this thread would meet."""
        yield from _of_this_thread(self.before)
        yield from _of_this_thread(self.after)

    def call(self, layer: Any, inputs: tuple, keywords: dict[str, Any]) -> Any:
        """``layer.forward(*inputs, **keywords)``, with the hooks before and behind it."""
        for hook in _of_this_thread(self.before):
            given = hook.call(layer, inputs, keywords)
            if given is not None and hook.with_kwargs:
                inputs, keywords = _both(layer, given)
            elif given is not None:
                inputs = given if isinstance(given, tuple) else (given,)
        output = layer.forward(*inputs, **keywords)
        for hook in _of_this_thread(self.after):
            given = hook.call(layer, inputs, keywords, output)
            output = output if given is None else given
        return output

    def __getstate__(self) -> dict[str, list[Hook]]:
        """For copies of the layer: lists of their own, without those that look at this very one (``watch``)."""
        return {name: [hook for hook in hooks if hook.thread is None] for name, hooks in vars(self).items()}


def _of_this_thread(hooks):
    """A list of its own: hooks may remove themselves, and others, while they are called."""
    return [hook for hook in hooks if hook.thread is None or hook.thread == threading.get_ident()]


def _both(layer, given):
    """(inputs, keywords) of what a pre-hook with keywords has returned."""
    is_pair = isinstance(given, tuple) and len(given) == 2
    if not (is_pair and isinstance(given[0], tuple) and isinstance(given[1], Mapping)):
        found = f"a pair of {' and '.join(type(each).__name__ for each in given)}" if is_pair else type(given).__name__
        what = f"returns None or (inputs, keywords), a tuple and a dict, not {found}"
        raise TypeError(f"{type(layer).__name__}: a forward pre-hook with keywords {what}")
    return given
