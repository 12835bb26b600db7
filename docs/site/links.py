"""Links to files that are no documents lead to pages that show them: kernels/cpu/conv.py.html, and tests/index.html.

So do the links [source] of the reference. A file's page has its text with colours and numbered lines (line 20 is
#L-20), a folder's page has the files in it. Only what something links to has a page.
"""

import functools
import importlib
import inspect
import posixpath
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri
from sphinx.util.typing import ExtensionMetadata
from tables import module_of

BINARY = {".png", ".jpg", ".npz"}
LONGEST = 200_000  # bytes of a file that has a page; raw results can be longer


def name_of(srcdir: Path, path: Path) -> str:
    """Sphinx's name of the page that shows this file or folder, a path from the top folder."""
    return (path / "index" if Path(srcdir, path).is_dir() else path).as_posix()


def link(env: BuildEnvironment, path: Path) -> str:
    """The address, seen from the present document, of the page of a path from the top folder, which there will be."""
    shown: dict[str, set[str]] = env.__dict__.setdefault("shown_files", {})
    shown.setdefault(env.docname, set()).add(path.as_posix())
    return relative_uri(f"{env.docname}.html", f"{name_of(env.srcdir, path)}.html")


class FileLinks(SphinxTransform):
    """What the parser of Markdown takes for a download, or for the name of a heading."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        for node in list(self.document.findall(lambda node: isinstance(node, download_reference | pending_xref))):
            if node.get("reftype") != "myst" or node.get("refdomain") is not None:
                continue
            path = Path(posixpath.normpath(posixpath.join(posixpath.dirname(self.env.docname), node["reftarget"])))
            if path.parts[0] != ".." and has_page(Path(self.env.srcdir, path)):
                self.env.note_dependency(Path(self.env.srcdir, path))
                node.replace_self(nodes.reference("", "", *node.children, refuri=self.address(path), internal=True))

    def address(self, path: Path) -> str:
        """Where a link leads: from the list of modules, to their pages in the reference."""
        module = f"docs/reference/{module_of(path.as_posix())}"
        if self.env.docname == "docs/reference" and module in self.env.found_docs:
            return relative_uri(f"{self.env.docname}.html", f"{module}.html")
        return link(self.env, path)


def source_of(app: Sphinx, info: dict[str, str]) -> str | None:
    """The address of the line on which a name of the reference is defined; None for what has no source."""
    value: Any = importlib.import_module(info["module"])
    try:
        for name in info["fullname"].split("."):
            value = inspect.getattr_static(value, name) if inspect.isclass(value) else getattr(value, name)
        value = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", value))
        file, (_, line) = inspect.getsourcefile(value), inspect.getsourcelines(value)
        path = Path(file or "").resolve().relative_to(app.srcdir)
    except (AttributeError, TypeError, OSError, ValueError):  # a number, an annotation; another library's
        return None
    return f"{link(app.env, path)}#L-{line}"


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Event: pages beside those of documents are asked for."""
    shown = {Path(path) for paths in getattr(app.env, "shown_files", {}).values() for path in paths}
    for folder in [path for path in shown if Path(app.srcdir, path).is_dir()]:
        shown |= {file.relative_to(app.srcdir) for file in listed(Path(app.srcdir, folder)) if has_page(file)}
    for path in sorted(shown):
        name = name_of(app.srcdir, path)
        body = folder_page(app, path) if Path(app.srcdir, path).is_dir() else file_page(app, path)
        depth = name.count("/")
        context = {"title": path.as_posix(), "body": f'<h1 class="path">{escape(path.as_posix())}</h1>{body}'}
        yield name, {**context, "toctree": functools.partial(navigation, app, depth)}, "page.html"


@functools.cache
def navigation(app: Sphinx, depth: int, **options: Any) -> str:
    """The navigation for all pages so many folders deep: Sphinx would make it anew for each of hundreds."""
    return app.builder._get_local_toctree("/".join("-" * (depth + 1)), **options)


def listed(folder: Path) -> list[Path]:
    """The files in a folder that the repository has."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def has_page(path: Path) -> bool:
    """Whether it is a folder or a text. What is linked to and has none, a picture, is copied as it is."""
    return path.is_dir() or (path.is_file() and path.suffix not in BINARY and path.stat().st_size <= LONGEST)


def folder_page(app: Sphinx, folder: Path) -> str:
    rows = []
    for path in listed(Path(app.srcdir, folder)):
        name = escape(path.name)
        rows.append(f'<li><a href="{name}.html">{name}</a></li>' if has_page(path) else f"<li>{name}</li>")
    return f"<ul>{''.join(rows)}</ul>"


def file_page(app: Sphinx, path: Path) -> str:
    """The text as HTML, with colours and numbered lines."""
    try:
        language = get_lexer_for_filename(path.name).aliases[0]
    except ClassNotFound:
        language = "text"
    text = Path(app.srcdir, path).read_text(encoding="utf-8")
    return app.builder.highlighter.highlight_block(text, language, force=True, linenos="inline", lineanchors="L")


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Event: a document has changed or is gone."""
    env.__dict__.get("shown_files", {}).pop(docname, None)


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_transform(FileLinks)
    app.connect("env-purge-doc", forget)
    app.connect("html-collect-pages", pages)
    app.config.linkcode_resolve = lambda domain, info: source_of(app, info)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
