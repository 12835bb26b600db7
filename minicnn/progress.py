"""How far a pass over pictures is, on the screen."""

from typing import Any

from tqdm import tqdm

from . import console


class Progress:
    """How far a pass over a loader is: a bar on a terminal, a plain line every `every` batches elsewhere."""

    def __init__(self, title: str, total: int, done: int = 0, every: int = 10) -> None:
        self.title, self.total, self.every = title, total, every
        self.bar = None
        if console.interactive():
            self.bar = tqdm(total=total, initial=done, desc=title, leave=False, unit="batch", file=console.stderr)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, done: int, text: str) -> None:
        """`done` batches of all are through."""
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.bar.n)
        elif done % self.every == 0:
            console.say(f"{self.title}  {done}/{self.total}  {text}")
