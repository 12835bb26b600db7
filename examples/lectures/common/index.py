"""docs/lectures.md: a section for each program, made from its docstring and from what is kept in docs/lectures/.

What is kept are the figure and the results of one run of the whole series in its default mode.
"""

import json
import re
from pathlib import Path

from PIL import Image

from minicnn.errors import SettingError
from minicnn.storage.files import atomic_write

from .experiment import read, rounded
from .page import parts, with_measured
from .programs import FOLDER, NAMES, load

DOCS = FOLDER.parents[1] / "docs"
KEPT, PAGE = DOCS / "lectures", DOCS / "lectures.md"
BEGIN, END = "<!-- made by `python examples/lectures --keep` -->\n", "<!-- end -->\n"


def keep(out: Path, names: list[str]) -> None:
    """Copy figures and results of these programs from `out` to docs/lectures/, their sentence "Measured" into the
    docstring, and make the page anew. SettingError if `out` lacks the default results of one of them as it now is; then
    nothing has been changed."""
    found = {name: _results(out, name) for name in names}
    before = PAGE.read_text(encoding="utf-8")
    KEPT.mkdir(exist_ok=True)
    for name, results in found.items():
        _write(KEPT / f"{name}.json", _lines(results))
        with Image.open(out / f"{name}.png") as figure, atomic_write(KEPT / f"{name}.png") as file:
            figure.convert("RGB").quantize(256).save(file, "PNG", optimize=True)  # a third of the bytes
        program = FOLDER / f"{name}.py"
        _write(program, with_measured(program.read_text(encoding="utf-8"), results["measured"]))
    _write(PAGE, page(before))


def _results(out, name):
    """With six digits, and the sentence that says them."""
    path, lecture = out / f"{name}.json", load(name).LECTURE
    results = read(path, lecture.settings("default"))
    if not results or "measured" not in results or not path.with_suffix(".png").is_file():
        raise SettingError(f"{out} has no default results of {name} as it now is; run python examples/lectures {name}")
    results = rounded(results)
    return results | {"measured": lecture.measured(results["result"])}


def _lines(results):
    """As JSON, a line for each name."""
    inner = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in results["result"].items())
    outer = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results.items() if name != "result"]
    return "{\n" + ",\n".join([*outer, '"result": {\n' + inner + "\n}"]) + "\n}\n"


def page(text: str) -> str:
    """The text of docs/lectures.md with its sections made anew, one for each program whose results are kept."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    names = [name for name in NAMES if (KEPT / f"{name}.json").is_file()]
    pages = {name: parts(load(name).__doc__ or "") for name in names}
    results = {name: json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    sections = [_contents(pages, results), *(_section(name, pages[name], results[name]) for name in names)]
    return before + BEGIN + "\n" + "\n".join(sections) + END + after


def _contents(pages, results):
    """A line for each program, and what all of them have taken."""
    lines = [f"| {_link(name, page)} | {results[name]['seconds']:.0f} |" for name, page in pages.items()]
    wall, processor = (sum(r[key] for r in results.values()) / 60 for key in ("seconds", "processor_seconds"))
    machines = " and ".join(sorted({found["machine"] for found in results.values()}))
    total = f"All of them took {wall:.0f} minutes (of the processor's time, {processor:.0f}), on {machines}."
    return "\n".join(["| | seconds |", "|---|---|", *lines, "", total, ""])


def _link(name, page):
    """To the section of the program."""
    title = f"{int(name[:2])}. {page['title'].rstrip('.')}"
    anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    return f"[{title}](#{anchor})"


def _section(name, page, results):
    number, _, rest = name.partition("_")
    title = page["title"].rstrip(".")
    rows = [f"| {part} | {_cell(page[part])} |" for part in ("Claim", "Published", "Measured", "Done")]
    lines = [
        f"### {int(number)}. {title}",
        "",
        f"[{name}.py](../examples/lectures/{name}.py) · {results['seconds']:.0f} s",
        "",
        f"![{title}](lectures/{name}.png)",
        "",
        f"| | {rest.replace('_', ' ')} |",
        "|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines)


def _cell(text):
    return text.replace("|", "\\|")


def _write(path, text):
    with atomic_write(path) as file:
        file.write(text.encode())
