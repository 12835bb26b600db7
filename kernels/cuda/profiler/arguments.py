"""Arguments for a kernel of a file of one's own, from words of the command line: ``x=128x64 y=128x64 size=8192``."""

import math
import re
from pathlib import Path

import numpy as np

from minicnn.device import KernelError
from minicnn.emulated import on_device

from ..launch import Kernel
from ..source import kernels, types


def launch(path: Path, name: str, words: list[str], grid: tuple[int, ...], block: tuple[int, ...]) -> None:
    """Launch the kernel with T = float, or else the first that it has; KernelError if a word is missing or wrong.

    An array's word is its shape, or 0 for a null pointer; a number's is itself. Arrays of T hold N(0, 1) numbers,
    others zeros.
    """
    kernel = Kernel(path, name)
    parameters = {parameter.name: parameter for parameter in kernels(path)[name]}
    given = dict(word.split("=", 1) for word in words)
    if missing := [parameter for parameter in parameters.values() if parameter.name not in given]:
        raise KernelError(f"{name} is to be launched with {', '.join(map(str, missing))}: give {_example(missing)}")
    if unknown := set(given) - set(parameters):
        raise KernelError(f"{name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(parameters)}")
    real = next(iter(types(path)))
    kernel[grid, block](*(_value(parameter, given[key], real) for key, parameter in parameters.items()))


def _value(parameter, word, real):
    what = f"{parameter.name}={word}"
    if not parameter.is_array:
        try:
            return float(word) if "." in word or "e" in word else int(word)
        except ValueError:
            raise KernelError(f"{what}: {parameter} is a number") from None
    if word == "0":
        return None
    if not re.fullmatch(r"\d+(x\d+)*", word):
        raise KernelError(f"{what}: {parameter} is an array, whose shape is given as 1024 or 128x64, or 0 for none")
    shape, dtype = tuple(map(int, word.split("x"))), parameter.dtype(real)
    if not parameter.is_real or dtype.kind != "f":
        return on_device(np.zeros(shape, dtype))
    drawn = np.random.default_rng(math.prod(shape)).standard_normal(shape, np.float32)
    return on_device(drawn.astype(dtype))


def _example(parameters):
    return " ".join(f"{each.name}={'SHAPE' if each.is_array else 'NUMBER'}" for each in parameters)
