"""The docstring of a program, in parts: its title, and the paragraphs that begin with a name."""

import re
import textwrap

PARTS = "Claim", "Published", "Done", "Measured", "Look at"
WIDTH = 120


def parts(doc: str) -> dict[str, str]:
    """{"title": ..., "Claim": ..., ...}, each on one line; "more": what stands between the title and the first of them.

    ValueError if one of PARTS is missing.
    """
    title, _, rest = doc.strip().partition("\n")
    pieces = re.split(rf"^({'|'.join(PARTS)})(?= )", rest, flags=re.MULTILINE)
    found = {"title": title.strip(), "more": _one_line(pieces[0])}
    found |= {name: _one_line(text) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
    if missing := [name for name in PARTS if name not in found]:
        raise ValueError(f"the docstring {title!r} has no paragraph {missing[0]!r}")
    return found


def with_measured(source: str, measured: str) -> str:
    """The source of a program, with another paragraph "Measured" in its docstring."""
    indent = " " * 11
    lines = textwrap.wrap(measured, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    paragraph = "Measured   " + f"\n{indent}".join(lines) + "\n"
    return re.sub(r"^Measured .*\n(?:(?= {11}).*\n)*", lambda _: paragraph, source, count=1, flags=re.MULTILINE)


def _one_line(text):
    return " ".join(text.split())
