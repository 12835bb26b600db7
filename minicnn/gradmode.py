"""Whether ops leave a graph behind: ``no_grad`` and ``enable_grad``, in the thread that says so (``switch.py``)."""

from collections.abc import Callable
from typing import Any

from .settings import flag
from .switch import Block, PerThread

_grad_mode = PerThread(True)


def is_grad_enabled() -> bool:
    """Whether ops that run in this thread now leave a graph behind."""
    return _grad_mode.value  # of this thread's innermost block


class _GradMode(Block):
    """A block that sets `mode`, and that decorates without brackets, too."""

    mode = True

    def __new__(cls, function: Callable | None = None) -> Any:
        block = super().__new__(cls)
        if function is None:
            return block  # with no_grad(): ... and @no_grad(); Python calls __init__ next
        cls.__init__(block)
        return block(function)  # @no_grad: not a block but the decorated function, which gets no __init__

    def __init__(self) -> None:
        super().__init__(_grad_mode, self.mode)


class no_grad(_GradMode):
    """``with no_grad(): ...`` (or as a decorator): ops inside leave no graph behind and save nothing."""

    mode = False


class enable_grad(_GradMode):
    """``with enable_grad(): ...`` (or as a decorator): ops inside leave a graph behind, also within ``no_grad``."""

    mode = True


class set_grad_enabled:
    """``with set_grad_enabled(training): ...`` records a graph inside if `training` is true, else none.

    It holds from the call on: without ``with``, until the end of the block around it, or of this thread.
    """

    def __init__(self, mode: bool) -> None:
        self._mode, self._former = flag("set_grad_enabled", "mode", mode), is_grad_enabled()
        _grad_mode.set(self._mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: Any) -> None:
        _grad_mode.set(self._former)

    def __call__(self, function: Callable) -> Callable:
        """As a decorator: in each call of `function`, and not before."""
        _grad_mode.set(self._former)
        return (enable_grad if self._mode else no_grad)()(function)
