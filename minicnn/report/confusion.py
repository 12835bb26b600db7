"""Which classes are taken for which: the table, and who is in it where there are many."""

from collections.abc import Sequence
from html import escape

import numpy as np

from ..types import Array

ALL, SOME = 40, 30  # so many classes are all shown; of more, the most confused ones
FEW = 14  # classes up to which the table leaves room for something beside it
CELL, LETTERS = 27, 16  # pixels of a cell; letters of a name


def counts(labels: Array, guesses: Array, classes: int) -> Array:
    """int64 (classes, classes): how many pictures of each class (row) are taken for each (column)."""
    return np.bincount(labels * classes + guesses, minlength=classes * classes).reshape(classes, classes)


def chosen(table: Array) -> Array:
    """The numbers of the classes that are shown: all, or those that most mistakes are made with."""
    if len(table) <= ALL:
        return np.arange(len(table))
    wrong = table.sum(axis=0) + table.sum(axis=1) - 2 * np.diag(table)
    return np.sort(np.argsort(-wrong, kind="stable")[:SOME])


def matrix(table: Array, names: Sequence[str]) -> str:
    """The table as SVG: a row for each class, a column for what it is taken for; darker is a larger part of the row."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    letters = min(LETTERS, max(map(len, names)))
    left, top = round(6.6 * letters) + 12, round(5.2 * letters) + 16  # room for the names, lying and slanted
    parts = []
    for i, name in enumerate(names):
        middle = CELL * i + CELL / 2
        words = f"{_short(name)}<title>{escape(name)}</title>"
        parts.append(f'<text x="{left - 6}" y="{top + middle + 4}" text-anchor="end">{words}</text>')
        turned = f'transform="translate({left + middle + 4} {top - 6}) rotate(-50)"'
        parts.append(f"<text {turned}>{words}</text>")
    side = CELL * len(names)
    parts.append(f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" class="grid"/>')
    for i, j in zip(*np.nonzero(table), strict=True):
        x, y, share = left + CELL * j, top + CELL * i, shares[i, j]
        kind, ink = ("cell" if i == j else "cell off"), (' class="on"' if share > 0.55 else "")
        told = f"<title>{escape(names[i])}, taken for {escape(names[j])}: {table[i, j]}</title>"
        box = f'x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" rx="3"'
        parts.append(f'<rect class="{kind}" {box} fill-opacity="{0.12 + 0.88 * share:.2f}">{told}</rect>')
        place = f'x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle"'
        parts.append(f"<text{ink} {place}>{_few(table[i, j])}</text>")
    width, height = left + side + round(4.6 * letters), top + side + 4
    if len(names) <= FEW:  # as large or as small as there is room
        size = f'style="width:100%;max-width:{1.4 * width:.0f}px"'
    else:
        size = f'width="{width}" height="{height}" style="max-width:none"'
    return f'<svg viewBox="0 0 {width} {height}" {size} role="img" aria-label="confusion">{"".join(parts)}</svg>'


def _short(name):
    return escape(name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…")


def _few(count):
    """In at most four signs."""
    return str(count) if count < 10000 else f"{count // 1000}k"
