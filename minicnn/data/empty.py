"""The batch of no items: what a loader hands over where its part (``part=``) of a batch has no row.

Ranks that train together run the same ops, also the rank that has nothing to do. So its batch has a batch's form,
pictures (0, C, H, W) and labels (0,), for instance, which is that of any readable item.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..types import Array
from .errors import BadImage, DataError


class EmptyBatches:
    """Those of an epoch.

    fetch(index)             an item of the data set, or a BadImage
    stack(items, indices)    their batch, a tuple, a dict, an array or a Tensor
    collate_fn(items)        the user's own, if there is one: what it makes of [] is taken as it is
    """

    def __init__(
        self,
        fetch: Callable[[int], Any],
        stack: Callable[[Sequence[Any], Any], Any],
        collate_fn: Callable[[list], Any] | None,
    ) -> None:
        self.fetch, self.stack, self.collate_fn = fetch, stack, collate_fn
        self.example: tuple[Any, int] | None = None  # a readable item and its index, as soon as one is known

    def batch(self, others: Iterable[int], where: str) -> Any:
        """One. others: the items to look for an example among, the nearest first; where: of what part, for messages.

        DataError if none of them can be read. What collate_fn raises gets a note that says why it was called.
        """
        if self.collate_fn is not None:
            try:
                return self.collate_fn([])
            except Exception as error:
                error.add_note(f"in collate_fn([]): {where} has no item, and collate_fn must make a batch of none, too")
                raise
        item, index = self.example = self.example or self._first_readable(others, where)
        return emptied(self.stack([item], [index]))

    def _first_readable(self, others, where):
        bad = None
        for index in map(int, others):
            item = self.fetch(index)
            if not isinstance(item, BadImage):
                return item, index
            bad = bad or item
        what = f"DataLoader: {where} has no item, and a batch of none has the form of another item"
        raise DataError(f"{what}; but none can be read; the first: {bad}")


def emptied(batch: Any) -> Any:
    """The batch with no rows: of each leaf (N, ...), an array or a Tensor, (0, ...)."""
    if isinstance(batch, dict):
        return {key: emptied(part) for key, part in batch.items()}
    if isinstance(batch, tuple):
        parts: list[Array] = [emptied(part) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    return batch[:0]
