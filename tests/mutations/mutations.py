"""Wrong versions, by name, and the check that must reject each one: the lists beside this file, read.

They are the mistakes that people make: a dropped term, a missing 1/N, swapped axes, a sum that should have been kept.

    == ops/conv.py                                        the file, below the list's folder
    padding swapped on the way back: test_conv.test_gradients
    - (top, bottom), (left, right) = padding              what stands there, exactly once
    + (left, right), (top, bottom) = padding              what takes its place, in no more lines
"""

import re
from pathlib import Path
from typing import NamedTuple

FOLDERS = {
    "mutations.txt": "minicnn/",
    "cpu_mutations.txt": "kernels/cpu/",
    "numba_mutations.txt": "kernels/numba_cuda/",
    "kernel_mutations.txt": "kernels/cuda/",
}


class Mutation(NamedTuple):
    name: str
    file: str  # as the root of the checkout sees it
    old: str
    new: str
    check: str


def read(name):
    mutations = []
    for section in re.split("^== ", Path(__file__).with_name(name).read_text(), flags=re.MULTILINE)[1:]:
        file, *entries = section.strip().split("\n\n")
        mutations += [_mutation(FOLDERS.get(name, "") + file, entry.splitlines()) for entry in entries]
    return mutations


def _mutation(file, lines):
    name, check = lines[0].rsplit(": ", 1)
    old, new = ("\n".join(line[2:] for line in lines[1:] if line[:2] == sign) for sign in ("- ", "+ "))
    return Mutation(name, file, old, new, check)
