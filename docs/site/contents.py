"""The table of contents is docs/README.md: each of its sections is a part of the navigation, in the order of its links.

The front page is README.md; below its head it shows the same table. Chapters of the tour and modules of the reference
stand below their page, in the order of its own links.
"""

import re
from pathlib import Path
from shutil import copyfile
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.typing import ExtensionMetadata
from tables import TABLE, linked, module_of, parts

IMAGE = re.compile(r'^ *<img src="(?P<src>.+?)" height="(?P<height>\d+)" alt="(?P<alt>.+?)">$', re.M)
PARENTS = ("docs/tour/README", "docs/reference")  # pages with pages below them


def toctree(entries: list[str], caption: str = "") -> str:
    """A hidden one in Markdown; entries are documents, by their paths from the top folder without a suffix."""
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    lines = "\n".join(entries)
    return f"\n```{{toctree}}\n{options}\n{lines}\n```\n"


def document(path: str) -> str:
    """What Sphinx calls the page of a file."""
    return "/" + re.sub(r"\.(md|ipynb)$", "", path)


def front_page(text: str, table: str) -> str:
    """README.md with the table of contents below its head, and for the navigation."""
    head, heading, rest = text.partition("\n## ")
    head = IMAGE.sub(r"![\g<alt>](\g<src>){h=\g<height>px}", re.sub("</?p>", "", head))
    cards, trees = ["\n::::{container} parts\n"], []
    for caption, pages in parts(table):
        links = "\n".join(f"- [{title}]({path})" for title, path in pages)
        cards.append(f":::{{container}} part\n**{caption}**\n\n{links}\n:::\n")
        trees.append(toctree([f"{title} <{document(path)}>" for title, path in pages], caption))
    trees.append(toctree([document(TABLE)]))
    return head + "\n".join([*cards, "::::\n"]) + heading + rest + "".join(trees)


def add_contents(app: Sphinx, docname: str, content: list[str]) -> None:
    """Event: a document has been read."""
    if docname == app.config.root_doc:
        table = Path(app.srcdir, TABLE)
        app.env.note_dependency(table)
        content[0] = front_page(content[0], table.read_text(encoding="utf-8"))
    elif docname in PARENTS:
        pages = [path for _, path in linked(f"{docname}.md", content[0])]
        if docname == "docs/reference":
            pages = [f"docs/reference/{module_of(path)}" for path in pages]
        content[0] += toctree([document(path) for path in pages])


class OneTitle(SphinxTransform):
    """Of a notebook with several titles, the later ones are sections below the first."""

    default_priority = 300

    def apply(self, **_: Any) -> None:
        sections = [node for node in self.document.children if isinstance(node, nodes.section)]
        for section in sections[1:]:
            self.document.remove(section)
            sections[0].append(section)


def name_the_front_page(app: Sphinx, error: Exception | None) -> None:
    """Event: the site is built. The front page is index.html as well."""
    front = Path(app.outdir, f"{app.config.root_doc}.html")
    if error is None and front.exists():
        copyfile(front, front.with_name("index.html"))


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_transform(OneTitle)
    app.connect("source-read", add_contents)
    app.connect("build-finished", name_the_front_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
