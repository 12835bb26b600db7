"""Values that hold inside a block of code: in one thread, nested as one likes, and gone when the block is.

``no_grad``, ``tier``, ``precision`` and dropout's ``rows`` are such blocks. Each works in two ways:

    with no_grad(): ...          what runs inside
    @no_grad()                   what the function does, whoever calls it; of a generator, each of its steps
    def evaluate(model): ...
"""

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any


class PerThread(threading.local):
    """A value that each thread has for itself: that of the innermost open block, `initial` outside of all."""

    def __init__(self, initial: Any) -> None:
        self.value = self._initial = initial
        self._open: list[list] = []  # [block, its value], the innermost last

    def enter(self, block: "Block", value: Any) -> None:
        """The block begins, and this value holds."""
        self._open.append([block, value])
        self.value = value

    def leave(self, block: "Block") -> None:
        """Close the block, which need not be the innermost: one in a generator ends when the generator does."""
        at = next((i for i in reversed(range(len(self._open))) if self._open[i][0] is block), None)
        if at is None:
            raise RuntimeError(f"{type(block).__name__}: a block is left that was not entered in this thread")
        del self._open[at]
        self.value = self._open[-1][1] if self._open else self._initial

    def change(self, value: Any) -> None:
        """Another value for the innermost block, until it ends."""
        if self._open:
            self.value = self._open[-1][1] = value

    def set(self, value: Any) -> None:
        """Another value for the innermost block or, outside of all, for this thread from now on."""
        self.change(value)
        if not self._open:
            self.value = self._initial = value


class Block:
    """``with Block(variable, value): ...``, or as a decorator: the variable has this value inside."""

    def __init__(self, variable: PerThread, value: Any) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> Any:
        self._variable.enter(self, self._value)

    def __exit__(self, *exc_info: Any) -> None:
        self._variable.leave(self)

    def __call__(self, function: Callable) -> Callable:
        """`function`, with this block around each call."""
        name = type(self).__name__
        if not callable(function) or inspect.isclass(function):
            raise TypeError(f"{name}: it decorates functions, not a {type(function).__name__}")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            what = f"{name}: the async function {function.__name__} would leave the block open while others run"
            raise TypeError(f"{what}; write `with {name}(...)` inside it, around code without await")
        if inspect.isgeneratorfunction(function):
            return _each_step_inside(self, function)

        @functools.wraps(function)
        def inside(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return inside


class Choice:
    """One of several names: that of the innermost open block of this thread or, outside of all, that of the process.

    kind  what it is called in errors: ValueError for a name that is not among `names`
    """

    def __init__(self, kind: str, names: Sequence[str], default: str) -> None:
        self.kind, self.names, self._default = kind, names, default
        self._of_thread = PerThread(None)

    def current(self) -> str:
        """The name that holds now."""
        return self._of_thread.value or self._default

    def set(self, caller: str, name: str) -> None:
        """Another name for the process from now on and, inside a block, until its end. caller: begins the error."""
        self._default = self._checked(caller, name)
        self._of_thread.change(name)

    def inside(self, caller: str, name: str) -> tuple[PerThread, str]:
        """What a ``Block`` needs, in which that name holds."""
        return self._of_thread, self._checked(caller, name)

    def _checked(self, caller, name):
        if name not in self.names:
            raise ValueError(f"{caller}: unknown {self.kind} {name!r}; it is one of {', '.join(self.names)}")
        return name


def _each_step_inside(block, function):
    """The generator `function`, inside the block while it runs and outside while its caller does."""

    @functools.wraps(function)
    def generator(*args, **kwargs):
        steps = function(*args, **kwargs)
        step = functools.partial(next, steps)
        try:
            while True:
                with block:
                    value = step()
                try:
                    step = functools.partial(steps.send, (yield value))
                except GeneratorExit:
                    with block:
                        steps.close()
                    raise
                except BaseException as error:  # the caller's .throw()
                    step = functools.partial(steps.throw, error)
        except StopIteration as end:
            return end.value

    return generator
