"""Arithmetic, as the host's compiler understood it: which instructions of a library multiply and add.

The kernel is compiled for this processor with -fsanitize-coverage=trace-pc, which makes the compiler call a function at
the beginning of each basic block; the emulator counts these calls (counting.cpp). What a block holds is read from the
library with objdump, instruction by instruction. Multiply-adds are what the compiler joined into one instruction, by
the rules that a GPU's compiler has, too. Integers are left out: addresses are found in another way on a GPU.

Understood are x86-64 and AArch64. Nothing here is vectorised: the emulator compiles with -O1.
"""

import functools
import platform
import re
import shutil
import subprocess
from typing import NamedTuple

from ..emulator.compiler import compiler

COVERED = "-fsanitize-coverage=trace-pc"

_INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\s+(?:[a-z]+ )*?([a-z][\w.]*)\s*([^#\n]*)")
_FMA = re.compile(r"vfn?m(?:add|sub)\d*(?:ss|sd)|fn?m(?:add|sub)")
_OTHER = re.compile(
    r"v?(?:add|sub|mul|div|sqrt|rcp|rsqrt|min|max|u?comi|cmp\w*|round)s[sd]|v?cvtt?(?:s[sdi]|si)2s?[sdi]\w*"
    r"|f(?:add|sub|n?mul|div|sqrt|min|max|minnm|maxnm|cmpe?|abd|cvt\w*|rint\w)|[su]cvtf"
)
_MATHS = re.compile(
    r"<(?:exp|exp2|expm1|log|log2|log1p|log10|pow|sqrt|tanh|sin|cos|erf|cbrt|fmod|f?min|f?max|ceil|floor|round|rint"
    r"|nearbyint|ldexp|ilogb)f?(?:@plt|$|@)"
)
_AWAY = re.compile(r"jmp\w*|ret\w*|b|br")  # after it, the compiler's own detours: no block begins there


class Operation(NamedTuple):
    """An arithmetic instruction at an offset of the library."""

    offset: int
    is_fma: bool


@functools.cache
def joins() -> bool:
    """Whether this machine has multiply-adds, and so whether products and sums are joined into them."""
    command = [compiler(), "-march=native", "-dM", "-E", "-x", "c++", "-"]
    said = subprocess.run(command, input="", capture_output=True, text=True, check=False).stdout
    return "__FMA__" in said or "__aarch64__" in said


def options() -> tuple[str, ...]:
    """The C++ compiler's options for a library whose blocks and multiply-adds are counted."""
    joined = "-ffp-contract=fast", "-fexpensive-optimizations"  # without the latter it does not join them at -O1
    is_intel = platform.machine().lower() in ("x86_64", "amd64")
    return (COVERED, *joined, "-mfma") if is_intel and joins() else (COVERED, *joined)


def disassembler() -> str | None:
    """objdump, or LLVM's; None where there is neither."""
    return shutil.which("objdump") or shutil.which("llvm-objdump")


@functools.cache
def blocks(library: str) -> dict[int, list[Operation]]:
    """{the offset by which a basic block is known: its arithmetic}; {} without a disassembler."""
    command = disassembler()
    if command is None:
        return {}
    command = [command, "-d", "--no-show-raw-insn", library]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
    return read(said)


def read(said: str) -> dict[int, list[Operation]]:
    """`blocks`, from what objdump said."""
    found: dict[int, list[Operation]] = {}
    now, begins = None, False  # the operations of the block that the line is in; whether its call was just made
    for line in said.splitlines():
        match = _INSTRUCTION.match(line)
        if match is None:
            now = None  # another function
            continue
        offset, name, operands = int(match[1], 16), match[2], match[3]
        if begins:
            now = found[offset - 1] = []  # known by the byte before the one where the call comes back to
            begins = False
        if "__sanitizer_cov_trace_pc" in operands:
            begins = True
        elif now is None:
            continue
        elif _AWAY.fullmatch(name):
            now = None
        elif _FMA.fullmatch(name):
            now.append(Operation(offset, True))
        elif _OTHER.fullmatch(name) or _MATHS.search(operands):
            now.append(Operation(offset, False))
    return found
