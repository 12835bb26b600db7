"""Docstrings are plain text, made to be read in an editor; here they become what Sphinx reads.

Paragraphs stay paragraphs. Two columns, a name and what it means, become a list of terms; indented lines are code; a
line that ends early was meant to end there.
"""

import ast
import re
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the tests run where there is no Sphinx
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

WIDTH = 110  # columns of a docstring, less its indentation
COLUMNS = re.compile(r"(?P<term>\S(?:.*?\S)??) {2,}(?P<text>\S.*)")


def rst(lines: list[str]) -> list[str]:
    """A docstring in reStructuredText."""
    result: list[str] = []
    for block in blocks(lines):
        if block[0].startswith(" ") or has_three_columns(block):
            result += [f".. code-block:: {language(block)}", "", *(f"    {line}" for line in block)]
        elif is_row(block[0]):
            result += terms(block)
        else:
            result += paragraph(block)
        result.append("")
    return result


def blocks(lines: list[str]) -> list[list[str]]:
    """What empty lines keep apart; and text, code and tables that follow each other without one."""
    found: list[list[str]] = [[]]
    for line in lines:
        if not line.strip():
            found.append([])
        elif found[-1] and not goes_on(found[-1], line):
            found.append([line])
        else:
            found[-1].append(line)
    return [block for block in found if block]


def goes_on(block: list[str], line: str) -> bool:
    """Whether a line belongs to the block above it."""
    if is_row(block[0]):
        return is_row(line) or line.startswith(" ")
    return not is_row(line) and line.startswith(" ") == block[0].startswith(" ")


def is_row(line: str) -> bool:
    """Whether a table begins or goes on here: two columns, and the first is not indented."""
    return not line.startswith(" ") and bool(COLUMNS.fullmatch(line))


def has_three_columns(block: list[str]) -> bool:
    """Whether it is a table that would be lost as a list of terms."""
    rows = [COLUMNS.fullmatch(line) for line in block if is_row(line)]
    return is_row(block[0]) and any(row and re.search(r"\S {3,}\S", row["text"]) for row in rows)


def language(block: list[str]) -> str:
    """Of indented lines: Python, if it is."""
    try:
        ast.parse(textwrap.dedent("\n".join(block)))
    except SyntaxError:
        return "text"
    return "python"


def terms(block: list[str]) -> list[str]:
    """Two columns as a list of terms; what is indented goes on with the line above."""
    result: list[str] = []
    for line in block:
        row = None if line.startswith(" ") else COLUMNS.fullmatch(line)
        if row:
            result += [f"{escaped(row['term'])}", f"    {escaped(row['text'])}"]
        else:
            result.append(f"    {escaped(line.strip())}")
    return result


def paragraph(block: list[str]) -> list[str]:
    """One paragraph; or lines, if one ends although the next word had room behind it."""
    found = [block[0]]
    for before, line in pairwise(block):
        if len(before) + 1 + len(line.split()[0]) <= WIDTH:
            found.append(line)
        else:
            found[-1] += f" {line}"
    return [f"{'| ' if len(found) > 1 else ''}{escaped(line)}" for line in found]


def escaped(text: str) -> str:
    """Stars, bars and underscores mean themselves, outside of code; and code may end before a letter: ``Tensor``s."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text)
    plain = [re.sub(r"([*|\\]|_\b)", r"\\\1", piece) for piece in pieces[::2]]
    pieces[::2] = [plain[0], *(re.sub(r"^(?=\w)", r"\\ ", piece) for piece in plain[1:])]
    return "".join(pieces)


def convert(app: "Sphinx", what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Event: a docstring has been found."""
    lines[:] = rst(lines)


def setup(app: "Sphinx") -> "ExtensionMetadata":
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
