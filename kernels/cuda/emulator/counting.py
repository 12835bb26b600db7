"""What a launch costs, instruction by instruction: the requests of its warps, counted while it runs (counting.cpp).

    with counting() as launches:
        multiply(a, b, kernel="matmul_naive")
    launches[0].accesses    # a row for each instruction that reads or writes memory

Unlike ``recording``, it keeps no single access: any launch that the emulator can run can be counted.
"""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn.device import DeviceError
from minicnn.emulated import emulating
from minicnn.switch import Block, PerThread

_ACCESSES = np.dtype(  # AccessCounts of runtime.h, which explains them
    [(name, np.uint64) for name in ("code", "requests", "lanes", "pieces", "least", "turns", "worst", "bytes")]
    + [(name, np.uint64) for name in ("kept", "write", "shared")]
)
_STRAIGHTS = np.dtype([(name, np.uint64) for name in ("code", "threads", "warps", "split")])
_TENSOR = np.dtype([("code", np.uint64), ("multiply_adds", np.uint64)])
_counting = PerThread(None)  # the innermost `with counting()` block; None outside


class Counts(NamedTuple):
    """A launch that ran to its end. `code` of a row is an offset in the library, for addr2line."""

    kernel: str
    real: str  # what T was
    path: Path  # the .cu file
    library: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int  # bytes of dynamic shared memory
    accesses: np.ndarray
    straights: np.ndarray  # basic blocks, where the library was compiled with OPTIONS that count them
    tensor: np.ndarray  # multiply-adds of tensor cores
    sectors: dict[str, tuple[int, int, int]]  # of each array: sectors read, sectors written, bytes in all


class counting(Block):
    """``with counting() as launches: ...`` puts the Counts of each launch of this thread into the list.

    options  more options of the C++ compiler, for the kernels' libraries
    instead  {.cu file: another, of the same kernels, that is run in its place}
    DeviceError on a GPU.
    """

    def __init__(self, options: tuple[str, ...] = (), instead: Mapping[Path, Path] | None = None) -> None:
        self.options, self.instead = options, dict(instead or {})
        self.launches: list[Counts] = []
        super().__init__(_counting, self)

    def __enter__(self) -> list[Counts]:
        if not emulating():
            raise DeviceError("counting: accesses are seen by the emulator alone; set MINICNN_EMULATE_GPU=1")
        super().__enter__()
        return self.launches


def wanted() -> counting | None:
    """The innermost block, if this thread's launches are counted now."""
    return _counting.value


def keep(block: counting, emulator: Any, launch: dict[str, Any], parameters: list[tuple[str, int]]) -> None:
    """Put what the emulator's library has counted into the list. parameters: (name, bytes) of each array."""
    tables = [
        _table(emulator.emulator_accesses, _ACCESSES),
        _table(emulator.emulator_straights, _STRAIGHTS),
        _table(emulator.emulator_tensor_operations, _TENSOR),
    ]
    emulator.emulator_sectors.restype = ctypes.c_uint64
    sectors = {
        name: (emulator.emulator_sectors(i, False), emulator.emulator_sectors(i, True), size)
        for i, (name, size) in enumerate(parameters)
    }
    block.launches.append(Counts(**launch, accesses=tables[0], straights=tables[1], tensor=tables[2], sectors=sectors))


def _table(function, dtype):
    function.restype = ctypes.c_uint64
    rows = np.zeros(function(None), dtype)
    function(rows.ctypes.data_as(ctypes.c_void_p))
    return rows
