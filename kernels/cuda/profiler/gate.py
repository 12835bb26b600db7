"""The gate: no line of a shipped kernel asks more of memory than the table ``gate.json`` beside this file says.

A line is in the table, by its text, if it takes more than WASTE sectors (or wavefronts) for each that is needed. A line
that takes more than the table says, or is not there, is worse. When one gets better, write the table anew:

    python -m minicnn.kernels.profile --gate --update
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..emulator.counting import counting
from .cases import cases
from .places import find
from .profiles import Profile, profiles

TABLE = Path(__file__).with_name("gate.json")
WASTE = 1.25  # a row of pixels that ends within a sector costs as much
TOLERANCE = 1.05  # another compiler takes another way now and then

Table = dict[str, dict[str, dict[str, float]]]  # {kernel: {line: {"reads": sectors for each needed}}}


def measure(
    names: Iterable[str] | None = None, instead: Mapping[Path, Path] | None = None
) -> tuple[Table, dict[tuple[str, str], str]]:
    """(the table of the kernels that these cases launch, or all; the place "conv.cu:193" of each of its lines).

    instead  {.cu file: a copy that was changed}
    """
    table: Table = {}
    places: dict[tuple[str, str], str] = {}
    for name in cases() if names is None else names:
        with counting(instead=instead) as launches:
            cases()[name].run()
        for profile in profiles(launches):
            rows = table.setdefault(f"{profile.path.name} {profile.name}", {})
            for text, place, what, ratio in _wasteful(profile):
                of_line = rows.setdefault(text, {})
                of_line[what] = max(of_line.get(what, 0.0), ratio)
                places[f"{profile.path.name} {profile.name}", text] = place
    return table, places


def known() -> Table:
    """The committed table."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


def update(table: Table) -> None:
    """Write the table; kernels without such a line are left out."""
    kept = {kernel: lines for kernel, lines in table.items() if lines}
    TABLE.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def compare(table: Table, places: dict[tuple[str, str], str], held: Table) -> tuple[list[str], list[str]]:
    """(lines that got worse, lines that got better), each with its place and both ratios.

    A line whose text has changed is compared with one that is gone from the same kernel.
    """
    worse, better = [], []
    for kernel, what in itertools.product(sorted({*table, *held}), ("reads", "writes", "shared")):
        now, before = _ratios(table, kernel, what), _ratios(held, kernel, what)
        gone = sorted(before[text] for text in before.keys() - now.keys())  # the least wasteful first
        for text, new in sorted(now.items(), key=lambda each: (each[1], each[0])):
            old = before.get(text)
            if old is None:
                fitting = [ratio for ratio in gone if new <= ratio * TOLERANCE]
                old = fitting[0] if fitting else 1.0
                gone = gone if not fitting else [*gone[: gone.index(old)], *gone[gone.index(old) + 1 :]]
            said = _said(places.get((kernel, text), kernel.split()[0]), kernel, what, new, old) + f": {text}"
            if new > max(old, WASTE) * TOLERANCE:
                worse.append(said)
            elif old > max(new, WASTE) * TOLERANCE:
                better.append(said)
        better += [_said(kernel.split()[0], kernel, what, 1.0, ratio) for ratio in gone]
    return worse, better


def _ratios(table, kernel, what):
    return {text: of[what] for text, of in table.get(kernel, {}).items() if what in of}


def _said(place, kernel, what, new, old):
    pieces = "wavefronts" if what == "shared" else "sectors"
    return f"{place}: {kernel.split()[1]} {what}: {pieces} for each needed {new:g}, before {old:g}"


def _wasteful(profile: Profile):
    sources: dict[str, list[str]] = {}
    for place, work in profile.lines.items():
        path = profile.path if place.file == profile.path.name else find(place.file, profile.path)
        if place.file not in sources:
            sources[place.file] = path.read_text(encoding="utf-8").splitlines()
        for what, memory in (("reads", work.reads), ("writes", work.writes), ("shared", work.shared)):
            if memory.ratio > WASTE:
                yield (
                    sources[place.file][place.line - 1].strip(),
                    f"{place.file}:{place.line}",
                    what,
                    round(memory.ratio, 2),
                )
