"""The site: its table of contents has every document, and docstrings become what Sphinx reads. Sphinx is not needed."""

import importlib
import pkgutil
import sys

import pytest
from paths import ROOT

import minicnn

sys.path.append(str(ROOT / "docs" / "site"))

import check  # what docs/site has
import docstrings
import tables


def linked(page):
    return [path for _, path in tables.linked(page, (ROOT / page).read_text(encoding="utf-8"))]


def documents():
    """What the site shows as pages."""
    found = [*ROOT.glob("*.md"), ROOT / "kernels" / "README.md"]
    for room in ("docs", "examples"):
        found += [path for suffix in ("md", "ipynb") for path in (ROOT / room).rglob(f"*.{suffix}")]
    return {path.relative_to(ROOT).as_posix() for path in found if ".ipynb_checkpoints" not in path.parts}


def test_every_document_is_in_the_table_of_contents():
    listed = [*linked("docs/README.md"), *linked("docs/tour/README.md"), "README.md", "docs/README.md"]
    assert sorted(listed) == sorted(documents())  # and each of them once


def test_the_parts_come_in_a_readers_order():
    parts = tables.parts((ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    assert [heading for heading, _ in parts] == ["Start", "Understand", "Use", "Fast", "Reference", "The project"]


def test_every_room_with_public_names_is_in_the_reference():
    names = [tables.module_of(path) for path in linked("docs/reference.md")]
    rooms = {"minicnn"} | {f"minicnn.{room.name}" for room in pkgutil.iter_modules(minicnn.__path__) if room.ispkg}
    public = {room for room in rooms if hasattr(importlib.import_module(room), "__all__")}
    assert len(public) > 8 and public <= set(names)
    assert all(importlib.import_module(name) for name in names)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Sums N*C values, *args and x_.", r"Sums N\*C values, \*args and x\_."),
        ("``Tensor``s of `x_` and ``y``", r"``Tensor``\ s of `x_` and ``y``"),
        ("lr     the rate\n       of it\nw, b   both", "lr\n    the rate\n    of it\nw, b\n    both"),
        (
            "a.py   one   b.py   two\nc.py   three",
            ".. code-block:: text\n\n    a.py   one   b.py   two\n    c.py   three",
        ),
        ("So:\n\n    y = x * 2", "So:\n\n.. code-block:: python\n\n        y = x * 2"),
        ("input (N, C), a float\nReturns (N,).", "| input (N, C), a float\n| Returns (N,)."),
        (f"{'word ' * 21}word\nand more", f"{'word ' * 21}word and more"),
    ],
)
def test_a_docstring_becomes_what_sphinx_reads(docstring, expected):
    assert "\n".join(docstrings.rst(docstring.splitlines())).strip() == expected


def test_dead_links_of_a_site_are_found(tmp_path):
    (tmp_path / "b.html").write_text('<h1 id="here">')
    (tmp_path / "a.html").write_text('<a href="b.html#here"><a href="https://example.org"><img src="data:image/png,">')
    assert check.main(tmp_path) is None
    (tmp_path / "a.html").write_text('<a href="b.html#there"><a href="c.html"><script src="https://example.org/x.js">')
    wrong = check.main(tmp_path)
    assert "no such place: b.html#there" in wrong and "no such file: c.html" in wrong and "loads https" in wrong
