"""Pickles read as data: a machine that can build dicts, lists, tuples, plain values and tensors, and nothing else.

A pickle is a program for a machine with a stack. BININT pushes a number, TUPLE2 makes a pair of the upper two values,
GLOBAL pushes any function of any module, by its name, and REDUCE calls it. That is how ``pickle.load`` runs the code of
strangers. This machine knows the instructions that weights need, and its GLOBALS are the table below: what a file
cannot name it cannot call. Splitting the bytes into instructions is left to the standard library's pickletools, which
executes none.

Bounded: there are never more values than the file has instructions, of which at most MOST_STEPS are taken. Nothing is
copied, compared or hashed but plain keys, so the small pickles that unfold into gigabytes, or into hours, stay small.
"""

import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from .dtypes import BFLOAT16
from .error import WeightsError

MOST_STEPS = 1_000_000  # less than a second; weights take some thirty for each tensor
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
VALUES |= {"BINSTRING", "SHORT_BINSTRING"}  # Python 2's text
VALUES |= {"BINBYTES", "SHORT_BINBYTES"}  # of numbers of NumPy, such as an accuracy
KEYS = (str, int, float, type(None))
MOST_KEY_BITS = 60  # multiples of 2**61 - 1 have all the same hash, and a dict of them takes hours


@dataclass
class Storage:
    """A run of `size` numbers somewhere in the file; `array` (size,) once they have been read."""

    key: str
    dtype: np.dtype
    size: int
    array: np.ndarray | None = None


class StoredTensor(NamedTuple):
    """A tensor as torch describes it: a window on a storage. offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


class Other:
    """What stands beside weights and is none: a number of NumPy, the arguments of a program. Nothing of it is kept."""

    def __init__(self, *arguments: Any) -> None:
        pass


def _new_dict():
    return {}


def _rebuild_tensor(storage, offset, shape, strides, requires_grad, hooks, metadata=None):
    return StoredTensor(storage, offset, shape, strides)


def _rebuild_parameter(data, requires_grad, hooks):
    return data


DTYPES: dict[str, Any] = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2"}
DTYPES |= {"Char": "i1", "Byte": "u1", "Bool": "?", "BFloat16": BFLOAT16}
GLOBALS: dict[str, Any] = {f"torch {name}Storage": np.dtype(dtype) for name, dtype in DTYPES.items()}
GLOBALS |= {
    "collections OrderedDict": _new_dict,
    "torch._utils _rebuild_tensor": StoredTensor,  # as PyTorch wrote before 0.4
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
}
NUMPY = [f"numpy.{core}.multiarray scalar" for core in ("core", "_core")]
PLAIN = ["numpy dtype", "_codecs encode", "argparse Namespace", "torch Size", "torch device"]
PLAIN += ["__builtin__ set", "builtins set", "pathlib PosixPath", "pathlib WindowsPath"]
GLOBALS |= dict.fromkeys([*NUMPY, *PLAIN], Other)
UNREADABLE = {
    "torch._utils _rebuild_qtensor": "quantized tensors",
    "torch._utils _rebuild_sparse_tensor": "sparse tensors",
    "torch._utils _rebuild_sparse_csr_tensor": "sparse tensors",
    "torch._utils _rebuild_nested_tensor": "nested tensors",
    "torch._utils _rebuild_meta_tensor_no_storage": "tensors without numbers (of the device meta)",
    "torch._utils _rebuild_tensor_v3": "tensors of a dtype such as float8 or uint16",
    "torch ComplexFloatStorage": "complex numbers",
    "torch ComplexDoubleStorage": "complex numbers",
}
UNREADABLE |= dict.fromkeys([f"torch {name}Storage" for name in ("QInt8", "QUInt8", "QInt32")], "quantized tensors")


def unpickle(file: IO[bytes], path: Path | str) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle from a binary file, from where it stands to behind the pickle's end -> (value, storages).

    storages: {key: Storage} of the storages that the tensors in the value look at, their numbers yet unread. path: what
    messages call the file. WeightsError if the pickle calls anything that is not in GLOBALS, or describes tensors of
    another kind; other exceptions if it is damaged.
    """
    stack: list[Any] = []
    marks: list[int] = []  # positions in the stack
    memo: dict[Any, Any] = {}
    storages: dict[str, Storage] = {}

    def cut(start):
        values = stack[start:]
        del stack[start:]
        return values

    operand: Any
    for step, (opcode, operand, _) in enumerate(pickletools.genops(file)):
        if step == MOST_STEPS:
            raise ValueError(f"its pickle has more than {MOST_STEPS:,} instructions")
        name = opcode.name
        if name in VALUES:
            stack.append(operand)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("EMPTY_LIST", "EMPTY_SET"):  # of a set nothing is hashed: it holds no weights
            stack.append([])
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[operand] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[operand])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(cut(marks.pop())))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(cut(-int(name[-1]))))
        elif name in ("SETITEM", "SETITEMS"):
            items = cut(-2 if name == "SETITEM" else marks.pop())
            _set_items(stack[-1], items)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = cut(-1 if name == "APPEND" else marks.pop())
            list.extend(stack[-1], items)
        elif name == "GLOBAL":
            stack.append(_look_up(operand, path))
        elif name == "STACK_GLOBAL":
            stack.append(_look_up(str.join(" ", cut(-2)), path))
        elif name in ("REDUCE", "NEWOBJ"):
            function, arguments = cut(-2)
            if isinstance(function, Foreign):
                raise function.error(path, is_class=name == "NEWOBJ")
            stack.append(function(*arguments))
        elif name == "BUILD":
            stack.pop()  # the attributes of the object below, such as a state dict's _metadata: no weights
        elif name == "BINPERSID":
            identity = stack.pop()
            if identity[0] == "module" and isinstance(identity[1], Foreign):
                raise identity[1].error(path, is_class=True)
            stack.append(_find_storage(storages, *identity))
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"its pickle has the instruction {name}, which weights do not need")
    return stack.pop(), storages


def _set_items(target, items):
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, KEYS) or (isinstance(key, int) and key.bit_length() > MOST_KEY_BITS):
            raise ValueError(f"a dict in it has a {type(key).__name__} for a key that weights do not need")
        dict.__setitem__(target, key, value)


class Foreign(NamedTuple):
    """A function or a class that is none of GLOBALS, by its name."""

    name: str

    def error(self, path: Path | str, is_class: bool) -> WeightsError:
        """The one that says what the file at `path` would do with it."""
        name = f"{self.name[:80].replace(' ', '.')!r}"
        if is_class:
            what = f"it holds a whole object of the class {name}, such as a network, with its code and not its weights"
        else:
            what = f"it calls {name}, which is none of the few functions that build tensors"
        advice = "load it with PyTorch and save the weights alone: torch.save(model.state_dict(), path)"
        return WeightsError(f"{path} would run code: {what}; where you trust it, {advice}")


def _look_up(name, path):
    if name in UNREADABLE:
        advice = "load it with PyTorch and save its weights as float32"
        raise WeightsError(f"{path} holds {UNREADABLE[name]}, which are not read here; {advice}")
    return GLOBALS[name] if name in GLOBALS else Foreign(name)


def _find_storage(storages, kind, dtype, key, location, size, view=None):
    """The storage of a "persistent id"; each is named once for every tensor that looks at it."""
    storage = Storage(key, dtype, size)
    proper = isinstance(key, str) and isinstance(dtype, np.dtype) and type(size) is int and size >= 0
    if not proper or kind != "storage" or view is not None or storages.setdefault(key, storage) != storage:
        raise ValueError("a storage in it is described in no known way")
    return storages[key]
