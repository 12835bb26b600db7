"""What the tables of the documents link to: docs/README.md is the site's table of contents, docs/reference.md that of
its reference."""

import posixpath
import re

TABLE = "docs/README.md"
ROW = re.compile(r"^\|(?: \d+ \|)? \[(?P<title>[^]]+)\]\((?P<link>[^)#]+)\)", re.M)


def linked(page: str, text: str) -> list[tuple[str, str]]:
    """(title, path) of what the rows of a page's tables begin with (after a number), as paths from the top folder."""
    folder = posixpath.dirname(page)
    return [(row["title"], posixpath.normpath(posixpath.join(folder, row["link"]))) for row in ROW.finditer(text)]


def parts(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The sections of docs/README.md that have a table: (heading, what it links to)."""
    _, *sections = re.split(r"^## ", text, flags=re.M)
    found = [(section.partition("\n")[0], linked(TABLE, section)) for section in sections]
    return [(heading, pages) for heading, pages in found if pages]


def module_of(path: str) -> str:
    """minicnn/nn/__init__.py -> minicnn.nn"""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
