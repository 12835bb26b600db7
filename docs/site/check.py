"""Looks at a site that has been built: python docs/site/check.py build/site

Every link to a page or a picture of the site leads to a file, and to a name in it; nothing is loaded from elsewhere.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href"}  # what a browser fetches by itself


class Page(HTMLParser):
    """The names in a page that links can lead to, and its links: (tag, address)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[tuple[str, str]] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attributes if value}
        self.names |= {found[name] for name in ("id", "name") if name in found}
        self.links |= {(tag, found[name]) for name in ("href", "src") if name in found}


def dead(path: Path, pages: dict[Path, Page]) -> list[str]:
    """What is wrong with the links of a page."""
    wrong = []
    for tag, address in sorted(pages[path].links):
        parts = urlsplit(address)
        if parts.scheme == "data" or (parts.scheme and tag not in LOADED):
            continue
        if parts.scheme or parts.netloc:
            wrong.append(f"loads {address}")
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            wrong.append(f"no such file: {address}")
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
            wrong.append(f"no such place: {address}")
    return wrong


def main(folder: str) -> str | None:
    """None, or what is wrong, a line each."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in Path(folder).rglob("*.html")}
    if not pages:
        return f"{folder} has no pages"
    wrong = [f"{path}: {what}" for path in sorted(pages) for what in dead(path, pages)]
    links = sum(len(page.links) for page in pages.values())
    print(f"{len(pages)} pages, {links} links, {len(wrong)} of them dead")
    return "\n".join(wrong) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
