"""How far a pass over pictures is, on the screen.

    epoch 3/15  32/47 ███████▌     0:12 left  234 images/s  loss 1.234  top-1 56.7 %

The line is never wider than the terminal. Of what there is to say, the most important comes first, and as much is said
as there is room for: in 40 columns that is how long it still takes, in 80 loss and accuracy, too, in 200 everything.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from . import console
from .clock import Clock

T = TypeVar("T")

GAP = "  "
WIDE, BAR, SHORT_BAR = 100, 20, 8  # columns: a line of WIDE has a bar of BAR or more; others, where SHORT_BAR are left


class Progress:
    """How far a pass over a loader is: a bar on a terminal, a plain line every `every` batches elsewhere."""

    def __init__(self, title: str, total: int, done: int = 0, every: int = 10) -> None:
        self.title, self.total, self.done, self.every = title, total, done, every
        self.bar: Any = None
        if console.interactive():
            self.bar = tqdm(total=total, initial=done, leave=False, file=console.stderr, **self._line(done, ()))
            console.live.append(self)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self.bar is not None:
            console.live.remove(self)
            self.bar.close()

    def update(self, done: int, *texts: str) -> None:
        """`done` batches of all are through. texts: what else there is to say, the most important first."""
        if self.bar is not None:
            vars(self.bar).update(self._line(done, texts))
            self.bar.update(done - self.bar.n)  # which draws it, though not more often than anybody can read
        elif done // self.every > self.done // self.every:  # they may come several at a time
            console.say(GAP.join([self.title, f"{done}/{self.total}", *texts]))
        self.done = done

    def remark(self, text: str) -> None:
        """On a terminal, say at once what is being done, until the next ``update``."""
        vars(self.bar).update(self._line(self.bar.n, (text,)))
        self.bar.refresh()

    def clear(self) -> None:
        """Take the bar off the terminal for a moment."""
        self.bar.clear()

    def refresh(self) -> None:
        """Draw the bar again."""
        self.bar.refresh()

    def _line(self, done, texts):
        """tqdm's settings for a line that says this; asked each time, as a window may be made wider."""
        columns = console.columns() - 1  # in the last one, some terminals begin a new line
        return {"ncols": columns, "bar_format": layout(columns, self.title, f"{done}/{self.total}", texts)}


def watched(title: str, items: Iterable[T], total: int, every: int) -> Iterator[T]:
    """The items, of which there are `total`, one after the other, while the screen shows how far it is."""
    clock = Clock()
    with Progress(title, total, every=every) as progress:
        for done, item in enumerate(items, 1):
            yield item
            clock.update(1)
            left, _ = clock.texts(total - done)
            progress.update(done, left)


def layout(columns: int, title: str, count: str, texts: Sequence[str]) -> str:
    """The line as tqdm's ``bar_format``: `title`, `count`, ``{bar}`` where there is room for one, and the first of
    `texts`, all of which fit into so many columns."""
    head = f"{title}{GAP}{count}"
    if len(head) > columns:
        head = count[:columns]
    room = columns - len(head) - (len(GAP) + BAR if columns >= WIDE else 0)  # for texts
    tail = ""
    for text in texts:
        if len(tail) + len(GAP) + len(text) > room:
            break
        tail += GAP + text
    has_bar = columns - len(head) - len(tail) > SHORT_BAR
    return _verbatim(head) + (" {bar}" if has_bar else "") + _verbatim(tail)


def _verbatim(text):
    """`text` where braces would mean something."""
    return text.replace("{", "{{").replace("}", "}}")
