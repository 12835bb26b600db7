"""The folder of a run, with its log and its checkpoints. Of several ranks, rank 0 alone need see it, and writes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..distributed import World
from ..storage.checkpoint import save_checkpoint
from ..storage.files import sweep
from ..storage.lock import locked
from .log import Log


class RunFolder:
    """Every rank calls these; what goes wrong on rank 0, such as a full disk, all of them raise."""

    def __init__(self, path: Path, world: World) -> None:
        self.path, self.world = path, world

    @contextmanager
    def taken(self, epochs: int) -> Iterator[None]:
        """``with files.taken(...):`` no other run has the folder, and log.csv is open, with the rows of so many epochs:
        those that will be repeated go."""
        with ExitStack() as stack:
            self.world.on_rank_0(self._take, stack, epochs)
            yield

    def _take(self, stack, epochs):
        stack.enter_context(locked(self.path))
        sweep(self.path)  # what a killed run was about to write
        self.log = Log(self.path, epochs)

    def add_row(self, row: dict[str, Any]) -> None:
        """Add a row to log.csv."""
        self.world.on_rank_0(lambda: self.log.add(row))

    def save(self, name: str, state: Callable[[], dict[str, Any]]) -> None:
        """Write what state() returns as the checkpoint of this name."""
        self.world.on_rank_0(lambda: save_checkpoint(self.path / name, state()))

    def remove(self, name: str) -> None:
        """Remove the file of this name, if there is one."""
        self.world.on_rank_0(lambda: (self.path / name).unlink(missing_ok=True))

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return self.world.on_rank_0((self.path / name).exists)
