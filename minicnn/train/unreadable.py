"""Pictures that cannot be read: every rank gets to know of all of them, and the user of each once."""

from collections.abc import Sequence

from ..console import say
from ..data import DataError, DataLoader
from ..data.errors import shown
from ..distributed import World
from ..distributed.ending import on_all_ranks


class Teller:
    """Tells the user of each unreadable picture once."""

    def __init__(self) -> None:
        self.told: set[str] = set()

    def tell(self, loaders: Sequence[DataLoader]) -> None:
        """A line for each one that these loaders have met and that is news."""
        for loader in loaders:
            for path, reason in loader.bad.items():
                if path not in self.told:
                    say(f"skipped an unreadable picture: {shown(path)}: {reason}")
                    self.told.add(path)


def share_unreadable(loaders: Sequence[DataLoader], world: World) -> None:
    """Each loader's `.bad` has what that of any rank has met, in the order of the ranks; on all of them the same
    TooManyBadImages where that is too much."""
    of_ranks = world.gather_values([loader.bad for loader in loaders])
    for loader, found in zip(loaders, zip(*of_ranks, strict=True), strict=True):
        together: dict[str, str] = {}
        for bad in found:
            together |= {path: reason for path, reason in bad.items() if path not in together}
        loader.bad = {}
        try:
            loader.add_bad(together)
        except DataError as error:
            raise on_all_ranks(error)  # noqa: B904  it is the same error
