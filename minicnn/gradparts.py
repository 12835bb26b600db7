"""The parts of a gradient, while ``backward()`` walks the graph: what has come, and what is still to come.

An array that several ops have taken gets a part of its gradient from each, and the walk adds them up by an op of its
own: it reads two arrays and writes a third. An op that works out its part number by number can do that on the way. It
takes what has come so far (``take``), and returns the sum. If its part is the last one (``is_last``), it may even begin
with what the op before will do with the gradient, and leave what it finds out for that one in ``sums``:
ops/conv_batchnorm.py does both.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .types import Array


class Parts:
    """Of one walk. The parts of leaves are another matter: they are added to what ``grad`` holds."""

    def __init__(self, order: Sequence[Any], add: Callable[..., Any]) -> None:
        """order: all nodes; add: the op (its reference) for a sum of two."""
        edges = (edge for node in order for edge in node.inputs if edge is not None)
        self._awaited = Counter(edge.node for edge in edges if edge.node is not None)  # node: how many are to come
        self._so_far: dict[Any, Array] = {}  # node: the sum of those that have come
        self._add = add
        self.sums: dict[Any, Any] = {}  # node: what the op that gave the last part has found out for it

    def put(self, node: Any, part: Array) -> None:
        """Add a part of the gradient of what `node` has made."""
        if node in self._so_far:
            part = node.run(self._add, self._so_far[node], part)  # not in place: it may be shared
        self._so_far[node] = part

    def take(self, node: Any) -> Any:
        """The sum of what has come, which is none of the parts from then on; None if nothing has."""
        return self._so_far.pop(node, None)

    @contextmanager
    def shown_to(self, node: Any) -> Iterator[None]:
        """``node.parts`` while the node goes backwards. Later, the two would keep each other in memory."""
        node.parts = self
        try:
            yield
        finally:
            node.parts = None

    def passed(self, node: Any) -> None:
        """That node has given what it has to give."""
        for edge in node.inputs:
            if edge is not None and edge.node is not None:
                self._awaited[edge.node] -= 1

    def is_last(self, node: Any) -> bool:
        """Whether one part is missing, and the whole gradient is for `node` alone: no tensor shall keep it."""
        return self._awaited[node] == 1 and not node.freed and (node.retaining is None or node.retaining() is None)
