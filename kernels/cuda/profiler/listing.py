"""What the profiler prints: the kernel's own lines with what was counted beside them, and a summary."""

import re
from collections.abc import Iterator

from .peaks import GPU, bounds, operations, share_of_peak
from .places import Place, find
from .profiles import SECTOR, WARP, Memory, Profile, Work

HEAD = (
    "  global memory   |  shared memory   |        |       |       | tensor |",
    "sectors least max | wavefr least max |  bytes |   FMA | other |    FMA | lanes",
)
WIDTH = len(HEAD[1])
WASTE = 1.25  # pieces for each that is needed: more is called wasteful
FEW = 0.01  # of all lanes: as many missing ones at a line are worth a word
UNKNOWN = (
    "Not known here: what the caches hold (L1, L2), latency and how much of it other warps hide, overlap of copies and "
    "arithmetic, time at barriers, instructions for addresses. So the bounds tell kernels apart that differ in kind "
    "(naive, shared, register tiles); of neighbours a GPU decides. Sizes are small: shares count, not microseconds."
)


def listing(profile: Profile) -> Iterator[str]:
    """The kernel, and the functions of its file, and of those it includes, in which anything was counted."""
    for name in sorted({place.file for place in profile.lines}, key=lambda name: (name != profile.path.name, name)):
        path = profile.path if name == profile.path.name else find(name, profile.path)
        yield f"{HEAD[0].ljust(WIDTH)} |"
        yield f"{HEAD[1]} | {name}"
        source = path.read_text(encoding="utf-8").splitlines()
        rows = {
            place.line: row(work, profile.arithmetic) for place, work in profile.lines.items() if place.file == name
        }
        for first, last in functions(source):
            numbers = range(first, last + 1)
            is_kernel = any(re.search(rf"void {profile.kernel}\(", source[number - 1]) for number in numbers)
            if is_kernel or any(rows.get(number) for number in numbers):
                for number in numbers:
                    yield f"{rows.get(number, ''):{WIDTH}} | {number:4} {source[number - 1]}".rstrip()
                yield f"{'':{WIDTH}} |"


def functions(source: list[str]) -> Iterator[tuple[int, int]]:
    """(first line, last line) of each function or struct of a file, from 1; comments before it are left out."""
    first, in_macro = None, False
    for number, line in enumerate(source, 1):
        is_macro = in_macro or line.startswith("#")
        in_macro = is_macro and line.endswith("\\")
        if first is None and line.strip() and not is_macro and not line.startswith("//"):
            first = number
        if first is not None and line[:1].strip() and line.split("//")[0].rstrip().endswith((";", "}")):
            yield first, number
            first = None


def row(work: Work, arithmetic: bool = True) -> str:
    """The columns of one line; "-" where arithmetic was not counted."""
    memory = Memory()
    memory += work.reads
    memory += work.writes
    fmas, others = (short(work.fmas), short(work.others)) if arithmetic else ("-", "-")
    moved, lanes = short(memory.read + memory.written), f"{work.lanes:.1f}".removesuffix(".0")
    if lanes == "32" and not (work.requests or work.fmas or work.others or work.tensor):
        return ""  # it ran, and that is all
    cells = f"{moved:>6} | {fmas:>5} | {others:>5} | {short(work.tensor):>6} | {lanes:>5}"
    return f"{_memory(memory)} | {_memory(work.shared)} | {cells}"


def summary(profile: Profile, on: GPU, notes: list[str]) -> Iterator[str]:
    """What bounds the kernel, and what it wastes. notes: more lines, of what was found, or why it could not be."""
    total = profile.total
    yield f"{profile.name}: {len(profile.launches)} launch{'es' * (len(profile.launches) > 1)}, {profile.launches[0]}"
    asked = short(SECTOR * (total.reads.pieces + total.writes.pieces))
    yield (
        f"  global memory: {total.reads.ratio:.2f} sectors for each that is needed in reading, "
        f"{total.writes.ratio:.2f} in writing; {asked} bytes asked for, "
        f"{short(profile.distinct_bytes)} if caches are perfect"
    )
    shared = f"{total.shared.ratio:.2f} wavefronts for each that is needed" if total.shared.requests else "no requests"
    yield f"  shared memory: {shared}"
    if profile.arithmetic:
        tensor = f", {short(total.tensor)} multiply-adds of tensor cores" if total.tensor else ""
        fmas, others = short(total.fmas) or "0", short(total.others) or "0"
        yield f"  arithmetic: {fmas} multiply-adds, {others} other operations{tensor}"
    yield f"  lanes: {total.lanes:.1f} of 32 are there on average"
    for place, text in wasteful(profile):
        yield f"  {place.file}:{place.line}: {text}"
    yield from (f"  {note}" for note in notes)
    found = bounds(profile, on)
    yield f"  {on.name}, all multiprocessors busy ({on.source}); it needs at least"
    slowest = found[0].seconds or 1.0
    for bound in found:
        if bound.seconds:
            mark = "   <- bounds it" if bound is found[0] else ""
            yield f"    {bound.resource:22} {1e6 * bound.seconds:10.3f} us {100 * bound.seconds / slowest:5.0f} %{mark}"
    if operations(profile):
        unit = "tensor cores" if total.tensor else "float32"
        yield f"  that is at most {100 * share_of_peak(profile, on):.1f} % of its peak in {unit}"


TABLE_HEAD = (
    f"{'kernel':44} {'reads':>5} {'writes':>6} {'shared':>6} {'lanes':>5} {'peak':>5} {'bound by':20} "
    f"{'regs':>4} {'occ':>4}  main loop"
)


def table_row(profile: Profile, on: GPU, registers: str, occupancy: str, loop: dict[str, int]) -> str:
    """A line of a table of kernels: what it takes for each sector or wavefront that is needed, and what bounds it."""
    total, (bound, *_) = profile.total, bounds(profile, on)
    ratios = f"{total.reads.ratio:5.2f} {total.writes.ratio:6.2f} {total.shared.ratio:6.2f} {total.lanes:5.1f}"
    peak = f"{100 * share_of_peak(profile, on):3.0f} %"
    mix = ", ".join(f"{count} {name}" for name, count in loop.items())
    mix = f"{sum(loop.values())}: {mix}" if loop else "-"
    return f"{profile.name:44} {ratios} {peak} {bound.resource:20} {registers:>4} {occupancy:>4}  {mix}"


def wasteful(profile: Profile) -> list[tuple[Place, str]]:
    """The lines that cost more than they must, worst first: (line, what a GPU suffers there)."""
    found = []
    for place, work in profile.lines.items():
        for what, memory in (("reads", work.reads), ("writes", work.writes), ("shared memory", work.shared)):
            if memory.ratio > WASTE:
                found.append((memory.pieces - memory.least, place, _waste(what, memory)))
    found += [(0, place, text) for place, text in _few_lanes(profile)]
    return [(place, text) for _, place, text in sorted(found, key=lambda each: (-each[0], each[1]))]


def _few_lanes(profile):
    """(the first of neighbouring lines that have the same few lanes, what is to be said of them)."""
    found: list[tuple[Place, str]] = []
    at_least = FEW * WARP * profile.total.runs  # lanes that must be missing, to be spoken of
    last = None  # the line before, and its lanes
    for place, work in sorted(profile.lines.items()):
        lanes = f"{work.lanes:.1f}"
        if work.missing > at_least and last != (place.file, lanes):
            found.append((place, f"lanes: {lanes} of 32 are there; the others go another way, or are none"))
        last = place.file, lanes
    return found


def _waste(what, memory):
    pieces = "wavefronts" if what == "shared memory" else "sectors"
    return (
        f"{what}: {memory.pieces / memory.requests:.1f} {pieces} a request, {memory.least / memory.requests:.1f} would "
        f"do; worst {memory.worst}"
    )


def _memory(memory):
    if not memory.requests:
        return " " * 17
    return f"{memory.pieces / memory.requests:7.1f} {memory.least / memory.requests:5.1f} {memory.worst:3}"


def short(number: int) -> str:
    """ "2.1M"; nothing for 0."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 10 * size:
            return f"{number / size:.0f}{unit}"
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number) if number else ""
