"""From addresses of a kernel's library to lines of the files that it was made of."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from minicnn.device import KernelError

from .. import emulator, source

EMULATOR = Path(emulator.__file__).parent
_known: dict[str, dict[int, "Place | None"]] = {}  # {library: {offset: what it is}}
_FRAME = re.compile(r"(.+):(\d+|\?)(?: \(discriminator \d+\))?")


class Place(NamedTuple):
    """A line of a .cu or .cuh file."""

    file: str
    line: int


def reader() -> list[str]:
    """The command that reads line numbers; KernelError where there is none."""
    for name in ("addr2line", "llvm-addr2line", "llvm-symbolizer"):
        if path := shutil.which(name):
            return [path, *(["--output-style=GNU"] if name == "llvm-symbolizer" else [])]
    raise KernelError(
        "the profiler needs addr2line or llvm-symbolizer to find lines; install binutils, which has the first"
    )


def places(library: str, offsets: Iterable[int]) -> dict[int, Place]:
    """{offset: the line it belongs to}; offsets that belong to none are left out.

    Of functions within one another it is the innermost that is not the emulator's own.
    """
    known = _known.setdefault(library, {})
    asked = {int(offset) for offset in offsets}
    if new := sorted(asked - known.keys()):
        known.update(dict.fromkeys(new) | _read(library, new))
    return {offset: place for offset in asked if (place := known[offset])}


def _read(library, wanted):
    command = [*reader(), "-a", "-i", "-e", library]
    given = "".join(f"{offset:#x}\n" for offset in wanted)
    said = subprocess.run(command, input=given, capture_output=True, text=True, errors="replace", check=False).stdout
    found: dict[int, Place] = {}
    offset = None
    for line in said.splitlines():
        if line.startswith("0x"):
            offset = int(line, 16)
        elif offset is not None and offset not in found and (place := _place(line)):
            found[offset] = place
    return found


def find(name: str, beside: Path) -> Path:
    """The file of that name that a .cu file takes: beside it, or in kernels/cuda/."""
    return next((folder / name for folder in (beside.parent, source.FOLDER) if (folder / name).is_file()), beside)


def _place(frame):
    match = _FRAME.fullmatch(frame)
    if match is None or not match[2].isdigit() or not match[1].endswith((".cu", ".cuh")):
        return None
    name = os.path.basename(match[1])
    is_own = (EMULATOR / name).is_file()  # of files of one name, the emulator takes its own
    return None if is_own else Place(name, int(match[2]))
