"""What NVIDIA's compilers make of a kernel: registers, occupancy, and the instructions (SASS) of its main loop.

NVRTC with ptxas (``kernels/check.py``) compiles for a GPU that need not be there, nvdisasm shows the machine code. Both
are optional. The main loop is the backward branch around most multiply-adds (else, most accesses to memory), and of
several the shortest; counts are static: instructions of a branch within the loop that is never taken are counted.
"""

import functools
import importlib.metadata
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from minicnn.kernels import check

from .profiles import Profile

CLASSES = (  # the first that fits
    ("tensor", re.compile(r"[HIQD]G?MMA|BMMA|UTC\w*MMA")),
    ("FFMA", re.compile(r"FFMA|HFMA2|DFMA")),
    (
        "other floats",
        re.compile(r"F(?!LO)[A-Z]*|MUFU|H(?:ADD|MUL|SET|MNMX)\w*|D(?:ADD|MUL|SETP|MNMX)|[IF]2F\w*|F2I\w*|I2F\w*"),
    ),
    ("LDS", re.compile(r"LDSM?")),
    ("STS", re.compile(r"STSM?")),
    ("LDG", re.compile(r"LDG|LDGSTS|LD|UTMALDG|UBLKCP|LDL")),
    ("STG", re.compile(r"STG|ST|RED|ATOM\w*|STL|UTMASTG")),
    ("barrier", re.compile(r"BAR|WARPSYNC|DEPBAR|LDGDEPBAR|SYNCS|WARPGROUP\w*|MEMBAR|SHFL|VOTE\w*")),
    ("branch", re.compile(r"BRA|BRX|BSSY|BSYNC|EXIT|CALL|RET|JMP|NOP|BREAK|YIELD")),
    ("integer", re.compile(r".*")),
)

_INSTRUCTION = re.compile(r"\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)([^;]*);")
_LABEL = re.compile(r"(\.L_\w+):")


class Machine(NamedTuple):
    """A kernel on one architecture."""

    registers: int
    shared: int  # bytes
    spills: int
    occupancy: float  # %, in theory
    loop: dict[str, int]  # {class of instructions: how many}, in the main loop; {} without nvdisasm
    missing: str  # why there is no loop


def machine(profile: Profile, capability: int) -> Machine:
    """What the kernel takes, launched as it was. ImportError, with the reason, without NVIDIA's compilers."""
    name = profile.kernel, profile.real
    compiled = check.compile_cubin(profile.path, [name], capability)
    (usage,) = check.usages(profile.path, [name], capability, compiled)
    occupancy = usage.occupancy_of(profile.threads, profile.shared)
    takes = usage.registers, usage.shared + profile.shared, usage.spills, occupancy
    command = disassembler()
    if command is None:
        return Machine(*takes, {}, "nvdisasm is not installed (pip install nvidia-cuda-nvdisasm)")
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder, "kernel.cubin")
        cubin.write_bytes(compiled.cubin)
        done = subprocess.run(
            [command, "-c", str(cubin)], capture_output=True, text=True, errors="replace", check=False
        )
    if done.returncode:
        return Machine(*takes, {}, f"nvdisasm failed: {done.stderr.strip().splitlines()[-1:]}")
    loop = main_loop(done.stdout)
    return Machine(*takes, loop, "" if loop else "it has no loop")


@functools.cache
def disassembler() -> str | None:
    """The path of nvdisasm: on the PATH, or where pip puts it; None where it is not."""
    if path := shutil.which("nvdisasm"):
        return path
    try:
        files = importlib.metadata.files("nvidia-cuda-nvdisasm") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.stem == "nvdisasm" and file.suffix in ("", ".exe")), None)


def main_loop(text: str) -> dict[str, int]:
    """{class: instructions} of the main loop in what nvdisasm said of one kernel; {} if there is none."""
    found = [loop for _, _, loop in loops(text)]
    if not found:
        return {}
    multiplies = any(loop["tensor"] or loop["FFMA"] for loop in found)
    best = max(found, key=lambda loop: (*_work(loop, multiplies), -loop.total()))
    return {name: best[name] for name, _ in CLASSES if best[name]}


def loops(text: str) -> list[tuple[int, int, Counter[str]]]:
    """(number of its first instruction, of that behind its last, {class: instructions}) of each loop in what nvdisasm
    said of one kernel."""
    kinds, labels, branches = [], {}, []
    for line in text.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(kinds)
        elif found := _INSTRUCTION.match(line):
            kinds.append(next(name for name, pattern in CLASSES if pattern.fullmatch(found[2])))
            if target := re.search(r"`\((\.L_\w+)\)", found[3]):
                branches.append((target[1], len(kinds)))
    spans = [(labels[to], end) for to, end in branches if labels.get(to, end) < end - 1]
    return [(first, end, Counter(kinds[first:end])) for first, end in spans]


def _work(loop, multiplies):
    return (loop["tensor"], loop["FFMA"]) if multiplies else (loop["LDG"] + loop["STG"], 0)
