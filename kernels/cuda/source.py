"""What a .cu file says of its kernels: their names and their parameters, the one source of truth for a launch."""

import functools
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicnn.device import KernelError

FOLDER = Path(__file__).parent
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
REAL_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}  # what T is, where the file does not say
TENSOR_TYPES = {"tf32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": np.dtype(np.uint16)}

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_KERNEL = re.compile(
    r"template\s*<\s*typename\s+T\s*>\s*__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)"
)
_PARAMETER = re.compile(r"(const\s+)?(\w+(?:\s+\w+)*?)\s*(\*?)\s*(?:__restrict__\s*)?\b(\w+)")
_TYPES = re.compile(r"^// T: (.*)$", re.MULTILINE)
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


class Parameter(NamedTuple):
    """``const T *x``: name "x", type "T", is_array, and whether the kernel may only read it."""

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

    def dtype(self, real):
        """Its NumPy dtype, where T stands for `real`."""
        return real if self.is_real else DTYPES[self.type]


def without_comments(text):
    """`text` with every comment replaced by its line breaks."""
    return _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n") or " ", text)


def text(path, folders=(FOLDER,)):
    """The file, with the .cuh files that it includes, from the first of the folders that has them."""
    given = path.read_text(encoding="utf-8")

    def included(match):
        line = given.count("\n", 0, match.start()) + 2
        found = next(folder / match[1] for folder in folders if (folder / match[1]).exists())
        return f'#line 1 "{match[1]}"\n{found.read_text(encoding="utf-8")}\n#line {line} "{path.name}"'

    return _INCLUDE.sub(included, given)


@functools.cache
def types(path):
    """{dtype: C++ type} of what T may be in the file: a line "// T: tf32, float16" says so, or REAL_TYPES."""
    said = _TYPES.search(path.read_text(encoding="utf-8"))
    return {TENSOR_TYPES[name]: name for name in said[1].split(", ")} if said else REAL_TYPES


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
    if match is None or (match[2] != "T" and match[2] not in DTYPES):
        known = ", ".join(["T", *DTYPES])
        raise KernelError(
            f"{kernel} ({path.name}): cannot read the parameter {text.strip()!r}; its type is one of {known}"
        )
    return Parameter(match[4], match[2], bool(match[3]), bool(match[1]))
