"""What a .cu file says of its kernels: their names and their parameters, the one source of truth for a launch."""

import functools
import re
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from minicnn.device import KernelError

FOLDER = Path(__file__).parent
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = {
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "int": np.dtype(np.int32),
    "unsigned int": np.dtype(np.uint32),
    "unsigned": np.dtype(np.uint32),
    "long long": np.dtype(np.int64),
    "unsigned long long": np.dtype(np.uint64),
    "unsigned char": np.dtype(np.uint8),
    "bool": np.dtype(np.bool_),
}
KINDS = {"i": int, "u": int, "f": float, "b": bool}  # by NumPy's letter for it
STRUCTS = {  # that a kernel is given by value; divide.cuh explains the first
    "Divisor": np.dtype([("multiplier", np.uint32), ("shift", np.uint32), ("number", np.int32)]),
    # emulator/tensor_map.cuh; on a GPU 128 bytes that only it reads, so there are no gaps
    "TensorMap": np.dtype(
        [
            ("address", "u8"),
            ("strides", "4u8"),
            ("sizes", "5u4"),
            ("box", "5u2"),
            ("steps", "5u2"),
            ("lower", "3i2"),
            ("upper", "3i2"),
            ("axes", "u1"),
            ("windows", "u1"),
            ("swizzle", "u1"),
            ("itemsize", "u1"),
            ("rest", "32u1"),
        ]
    ),
}
REAL_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}  # what T is, where the file does not say
TENSOR_TYPES = {"tf32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": BFLOAT16}
ALL_TYPES = {**{name: dtype for dtype, name in REAL_TYPES.items()}, **TENSOR_TYPES}

WIDE = "wide<T>"

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_KERNEL = re.compile(
    r"template\s*<\s*typename\s+T\s*>\s*__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)"
)
_PARAMETER = re.compile(
    r"(const\s+)?(?:__grid_constant__\s+)?(wide\s*<\s*T\s*>|\w+(?:\s+\w+)*?)\s*(\*?)\s*(?:__restrict__\s*)?\b(\w+)"
)
_TYPES = re.compile(r"^// T: (.*)$", re.MULTILINE)
_ARCHITECTURE = re.compile(r"^// arch: (\w+)$", re.MULTILINE)
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


class Parameter(NamedTuple):
    """``const T *x``: name "x", type "T", is_array, and whether the kernel may only read it.

    The type is T, ``wide<T>`` (float where T is narrower: bfloat16.cuh), one of DTYPES or, if it is no array, STRUCTS.
    """

    name: str
    type: str
    is_array: bool
    is_const: bool

    def __str__(self):
        return f"{'const ' if self.is_const else ''}{self.type} {'*' if self.is_array else ''}{self.name}"

    @property
    def is_real(self):
        """Whether its type is T."""
        return self.type == "T"

    @property
    def kind(self):
        """The type of Python's that a number for it usually has: int, float or bool; None for a struct."""
        if self.type in STRUCTS:
            return int if self.type == "Divisor" else None
        return KINDS[DTYPES[self.type].kind] if self.type in DTYPES else float

    @property
    def is_optional(self):
        """Whether None may be given for it: a null pointer."""
        return self.is_array

    @property
    def axes(self):
        """How many axes an array must have: None, as many as it likes."""
        return None

    def dtype(self, real):
        """Its NumPy dtype, where T stands for `real`."""
        if self.type == WIDE:
            return max(real, ALL_TYPES["float"], key=lambda dtype: dtype.itemsize)
        return real if self.is_real else (STRUCTS if self.type in STRUCTS else DTYPES)[self.type]


@functools.lru_cache(1024)
def divisor(number):
    """The struct Divisor of a whole number from 1 to 2^31 - 1: divide.cuh says why it is right."""
    shift = (number - 1).bit_length()
    multiplier = -(-(1 << 31 + shift) // number)
    return np.array((multiplier, shift, number), STRUCTS["Divisor"])[()]


def without_comments(text):
    """`text` with every comment replaced by its line breaks."""
    return _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n") or " ", text)


def text(path, folders=None):
    """The file, with the .cuh files that it includes, and those that these include, each once: from the first of the
    folders that has it; by default its own, then this one."""
    return _with_included(path, folders or (path.parent, FOLDER), set())


def _with_included(path, folders, done):
    given = path.read_text(encoding="utf-8")

    def included(match):
        line = given.count("\n", 0, match.start()) + 2
        if match[1] in done:
            return ""
        done.add(match[1])
        found = next(folder / match[1] for folder in folders if (folder / match[1]).exists())
        return f'#line 1 "{match[1]}"\n{_with_included(found, folders, done)}\n#line {line} "{path.name}"'

    return _INCLUDE.sub(included, given)


@functools.cache
def types(path):
    """{dtype: C++ type} of what T may be in the file: a line "// T: float, bfloat16" says so, or REAL_TYPES."""
    said = _TYPES.search(path.read_text(encoding="utf-8"))
    if not said:
        return REAL_TYPES
    names = said[1].split(", ")
    found = {ALL_TYPES[name]: name for name in names if name in ALL_TYPES}
    if len(found) < len(names):  # tf32 is float32 in NumPy, as float is: a launch could not tell which is meant
        raise KernelError(f"{path.name}: cannot read {said[0]!r}; it names some of {', '.join(ALL_TYPES)}, one a dtype")
    return found


@functools.cache
def architecture(path):
    """What the file has to be compiled for, and for nothing else, as a line "// arch: sm_90a" says, or None."""
    said = _ARCHITECTURE.search(path.read_text(encoding="utf-8"))
    return said and said[1]


@functools.cache
def kernels(path):
    """{name: its Parameters} of every ``template <typename T> __global__ void name(...)`` of the file."""
    text = without_comments(path.read_text(encoding="utf-8")).replace("\\\n", " ")
    for name, body in re.findall(r"^#define[ ]+(\w+)[ ]+(.+)$", text, re.MULTILINE):
        text = re.sub(rf"\b{name}\b", body, text)  # a list of parameters that several kernels share
    found = _KERNEL.findall(text)
    return {name: [_parameter(path, name, text) for text in parameters.split(",")] for name, parameters in found}


def _parameter(path, kernel, text):
    match = _PARAMETER.fullmatch(" ".join(text.split()))
    if match:
        kind, is_array = WIDE if match[2].startswith("wide") else match[2], bool(match[3])
        if kind in ("T", WIDE, *DTYPES) or (kind in STRUCTS and not is_array):
            return Parameter(match[4], kind, is_array, bool(match[1]))
    known = ", ".join(["T", WIDE, *DTYPES, *STRUCTS])
    raise KernelError(f"{kernel} ({path.name}): cannot read the parameter {text.strip()!r}; its type is one of {known}")
