"""Functions that ``backward()`` calls with a leaf when the gradient of that leaf is complete.

    weight.register_post_accumulate_grad_hook(lambda weight: send(weight.grad))

A leaf that is used twice gets its gradient in two parts, and the hook is called once, after the second. The walk goes
on meanwhile towards the input: the last layer's gradients can be on their way to other processes while those of the
first layers are still being worked out (distributed/buckets.py).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .gradmode import no_grad


class GradHandle:
    """What registering such a function returns: ``remove()``, or the end of its ``with`` block, takes it away again."""

    def __init__(self, hooks: "dict[GradHandle, Callable[[Any], Any]]") -> None:
        self._hooks = hooks

    def remove(self) -> None:
        """The hook is called no more; a second time, nothing happens."""
        self._hooks.pop(self, None)

    def __enter__(self) -> "GradHandle":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.remove()


def awaited(order: Sequence[Any]) -> Counter:
    """{leaf: how many nodes of this graph will add to its gradient}, of those leaves that have hooks."""
    count: Counter = Counter()
    for node in order:
        for edge, needed in zip(node.inputs, node.needs_input_grad, strict=False):  # a node that is freed has no inputs
            if needed and edge.leaf is not None and edge.leaf.grad_hooks:
                count[edge.leaf] += 1
    return count


def arrived(leaf: Any, count: Counter) -> None:
    """One of the additions is done; after the last one the leaf's hooks are called."""
    count[leaf] -= 1
    if not count[leaf]:
        call_hooks(leaf)


@no_grad()
def call_hooks(leaf: Any) -> None:
    """Each of the leaf's hooks, in the order in which they came, with no graph behind what they do."""
    for hook in tuple(leaf.grad_hooks.values()):  # a copy: a hook may remove itself
        hook(leaf)
