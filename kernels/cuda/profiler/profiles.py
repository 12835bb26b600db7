"""A kernel's profile: for each line of its files what it read, wrote and worked out, from what the emulator counted."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..emulator.counting import Counts
from . import machine_code
from .places import Place, places

WARP, SECTOR = 32, 32  # threads; bytes


@dataclass
class Memory:
    """Requests of one kind of memory: one instruction of one warp, once, whose lanes make an access each."""

    requests: int = 0
    lanes: int = 0  # of all requests
    pieces: int = 0  # sectors of 32 bytes of global memory; wavefronts of shared memory
    least: int = 0  # as few as would do
    turns: int = 0  # that they keep the pipeline to memory: lines of 128 bytes; wavefronts
    worst: int = 0  # pieces of one request
    read: int = 0  # bytes of all lanes
    written: int = 0

    @property
    def ratio(self) -> float:
        """Pieces for one that is needed."""
        return self.pieces / self.least if self.least else 1.0

    def __iadd__(self, other: "Memory") -> "Memory":
        for name in ("requests", "lanes", "pieces", "least", "turns", "read", "written"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst = max(self.worst, other.worst)
        return self


@dataclass
class Work:
    """What a line, or a kernel, did. Operations are of all threads; those of `warps` are instructions of a warp."""

    reads: Memory = field(default_factory=Memory)  # of global memory
    writes: Memory = field(default_factory=Memory)
    shared: Memory = field(default_factory=Memory)
    fmas: int = 0
    others: int = 0  # additions, products, divisions, comparisons, functions: of floating-point numbers
    tensor: int = 0  # multiply-adds of tensor cores
    warp_fmas: int = 0
    warp_others: int = 0
    threads: int = 0  # how often it ran, in all threads
    warps: int = 0  # in warps
    split: int = 0  # and in warps of which lanes were missing

    def __iadd__(self, other: "Work") -> "Work":
        for name in vars(self):
            setattr(self, name, _sum(getattr(self, name), getattr(other, name)))
        return self

    @property
    def lanes(self) -> float:
        """How many lanes of a warp are there on average."""
        return (WARP - self.missing / self.runs) if self.runs else WARP

    @property
    def runs(self) -> int:
        """How often warps came by, to run a basic block or to make a request."""
        return self.warps + self.requests

    @property
    def missing(self) -> int:
        """How many lanes were elsewhere then, in all."""
        lanes = self.threads + self.reads.lanes + self.writes.lanes + self.shared.lanes
        return WARP * self.runs - lanes

    @property
    def requests(self) -> int:
        """Instructions of warps that access memory."""
        return self.reads.requests + self.writes.requests + self.shared.requests


@dataclass
class Profile:
    """One kernel with one T, over all its launches."""

    kernel: str
    real: str
    path: Path
    launches: list[str] = field(default_factory=list)  # "grid (2, 2, 1), block (16, 16, 1)" of each
    threads: int = 0  # of a thread block
    thread_blocks: int = 0
    shared: int = 0  # bytes of dynamic shared memory
    lines: dict[Place, Work] = field(default_factory=lambda: defaultdict(Work))
    sectors: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # {array: read, written, bytes}
    arithmetic: bool = False  # whether it was counted

    @property
    def name(self) -> str:
        return f"{self.kernel}<{self.real}>"

    @property
    def total(self) -> Work:
        """The sum over all lines."""
        total = Work()
        for work in self.lines.values():
            total += work
        return total

    @property
    def distinct_bytes(self) -> int:
        """Bytes of global memory that cross the bus if caches are perfect: each sector once in each direction."""
        return SECTOR * sum(read + written for read, written, _ in self.sectors.values())

    def as_json(self) -> dict[str, Any]:
        """Everything, as numbers, strings, lists and dicts."""
        lines = [{"file": place.file, "line": place.line, **asdict(work)} for place, work in sorted(self.lines.items())]
        arrays = {name: dict(zip(("read", "written", "bytes"), s, strict=True)) for name, s in self.sectors.items()}
        return {
            "kernel": self.kernel, "T": self.real, "file": self.path.name, "launches": self.launches,
            "threads_of_block": self.threads, "blocks": self.thread_blocks, "arithmetic_counted": self.arithmetic,
            "sectors_of_arrays": arrays, "total": asdict(self.total), "lines": lines,
        }  # fmt: skip


def profiles(launches: Iterable[Counts]) -> list[Profile]:
    """The profile of each kernel that was launched, in the order of their first launches."""
    found: dict[tuple[Path, str, str], Profile] = {}
    for counts in launches:
        key = counts.path, counts.kernel, counts.real
        profile = found.setdefault(key, Profile(counts.kernel, counts.real, counts.path))
        _add(profile, counts)
    return list(found.values())


def _add(profile, counts):
    blocks = machine_code.blocks(counts.library) if len(counts.straights) else {}
    codes = [int(code) for rows in (counts.accesses, counts.straights, counts.tensor) for code in rows["code"]]
    codes += [operation.offset for code in counts.straights["code"] for operation in blocks.get(int(code), ())]
    place = places(counts.library, codes)
    for row in counts.accesses:
        if line := place.get(int(row["code"])):
            memory = _memory(profile.lines[line], row)
            memory += _as_memory(row)
    for row in counts.straights:
        threads, warps = int(row["threads"]), int(row["warps"])
        if line := place.get(int(row["code"])):
            profile.lines[line] += Work(threads=threads, warps=warps, split=int(row["split"]))
        for operation in blocks.get(int(row["code"]), ()):
            if line := place.get(operation.offset):
                profile.lines[line] += _arithmetic(operation.is_fma, threads, warps)
    for row in counts.tensor:
        if line := place.get(int(row["code"])):
            profile.lines[line] += Work(tensor=int(row["multiply_adds"]))
    profile.arithmetic = bool(blocks)
    profile.launches.append(f"grid {counts.grid}, block {counts.block}")
    profile.threads = counts.block[0] * counts.block[1] * counts.block[2]
    profile.shared = counts.shared
    profile.thread_blocks += counts.grid[0] * counts.grid[1] * counts.grid[2]
    for name, new in counts.sectors.items():
        old = profile.sectors.get(name, (0, 0, 0))
        profile.sectors[name] = tuple(map(sum, zip(old, new, strict=True)))


def _memory(work, row):
    return work.shared if row["shared"] else work.writes if row["write"] else work.reads


def _as_memory(row):
    read, written = (0, row["bytes"]) if row["write"] else (row["bytes"], 0)
    numbers = (row[name] for name in ("requests", "lanes", "pieces", "least", "turns", "worst"))
    return Memory(*map(int, (*numbers, read, written)))


def _arithmetic(is_fma, threads, warps):
    return Work(fmas=threads, warp_fmas=warps) if is_fma else Work(others=threads, warp_others=warps)


def _sum(one, other):
    one += other
    return one
