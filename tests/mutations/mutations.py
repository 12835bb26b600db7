"""Wrong versions of the engine, by name, and the test that must reject each one: mutations.txt, read.

They are the mistakes that people make: a dropped term, a missing 1/N, swapped axes, a sum that should have been kept.

    == ops/conv.py                                        the file, below minicnn/
    padding swapped on the way back: test_conv.test_gradients
    - (top, bottom), (left, right) = padding              what stands there, exactly once
    + (left, right), (top, bottom) = padding              what takes its place, in as many lines
"""

import re
from pathlib import Path
from typing import NamedTuple


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    check: str


def read(name="mutations.txt"):
    mutations = []
    for section in re.split("^== ", Path(__file__).with_name(name).read_text(), flags=re.MULTILINE)[1:]:
        file, *entries = section.strip().split("\n\n")
        mutations += [_mutation(file, entry.splitlines()) for entry in entries]
    return mutations


def _mutation(file, lines):
    name, check = lines[0].rsplit(": ", 1)
    old, new = ("\n".join(line[2:] for line in lines[1:] if line[:2] == sign) for sign in ("- ", "+ "))
    return Mutation(name, file, old, new, check)
