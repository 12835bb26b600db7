"""Launching a kernel of a .cu file, with everything checked that a GPU does not check (../arguments.py)."""

import functools
import math
import numbers
from pathlib import Path

import numpy as np

from minicnn import tally
from minicnn.console import remark
from minicnn.emulated import EmulatedArray
from minicnn.kernels.arguments import (
    CheckedKernel,
    check_array,
    check_one_gpu,
    contiguous,
    empty,
    number,
)
from minicnn.kernels.faults import named, sync_wanted, wait

from . import emulator
from .source import DTYPES, FOLDER, STRUCTS, KernelError, architecture, divisor, kernels, text, types

__all__ = ["empty"]  # besides what is defined here

THREADS = 256  # of a thread block, where nothing speaks for another number
USUAL_SHARED = 48 << 10  # bytes of dynamic shared memory that every GPU gives a thread block without being asked
MAX_SHARED = 227 << 10  # the most that any GPU gives: those of compute capability 9.0 and 10.0


class Kernel(CheckedKernel):
    """``Kernel("activation.cu", "relu_forward")[grid, block](*arguments, shared=0, reaches=())``.

    An array may be None: a null pointer. One that the kernel only reads (``const T *``) may have gaps: it is copied.
    shared   bytes of dynamic shared memory; KernelError if there are more than this GPU gives a block
    reaches  the arrays of T whose addresses stand in a table among the arguments
    """

    absent = np.uint64(0)  # a null pointer

    def __init__(self, file, name):
        self.path, self.name = FOLDER / file, name
        if name not in kernels(self.path):
            raise KernelError(f"{file} has no kernel {name}, a template <typename T> __global__ void {name}(...)")
        super().__init__(kernels(self.path)[name], types(self.path))

    def launch(self, grid, block, *arguments, shared=0, reaches=()):
        """``self[grid, block](*arguments, shared=shared, reaches=reaches)``."""
        grid, block = self.sizes(grid, block)
        if type(shared) is not int and not isinstance(shared, numbers.Integral):
            raise TypeError(f"{self}: shared is a whole number of bytes, got {shared!r}")
        if not 0 <= shared <= MAX_SHARED:
            raise ValueError(f"{self}: {shared} bytes of shared memory; a block can have 0 to {MAX_SHARED}")
        plan, values = self.planned(arguments, reaches)
        if plan:
            compiled = plan.compiled
        else:
            real, values, arrays = self._checked(arguments, reaches)
            if isinstance(arrays[0], EmulatedArray):
                if 0 not in grid and 0 not in block:
                    run = functools.partial(
                        emulator.launch, self, self.reals[real], grid, block, values, shared, reaches
                    )
                    tally.launch(f"{self.name}<{self.reals[real]}>", run)
                return
            compiled = self._compiled(real, arrays[0])
            values = [self.absent if value is None else value for value in values]
        if 0 in grid or 0 in block:
            return
        if shared > USUAL_SHARED:
            _check_shared(self, compiled, shared)
        try:
            compiled(grid, block, tuple(values), shared_mem=shared)
            if sync_wanted():
                wait()
        except RuntimeError as error:
            raise named(self, error) from None

    def _checked(self, arguments, reaches):
        """What ``checked`` returns, and the arrays among it; with what it does not check."""
        real, values = self.checked(arguments)
        for i, array in enumerate(reaches):
            check_array(f"{self}: parameter const T *reaches[{i}]", array, real)
        arrays = [v for p, v in zip(self.parameters, values, strict=True) if p.is_array and v is not None]
        arrays += reaches
        check_one_gpu(self, arrays)
        return real, values, arrays

    def _compiled(self, real, array):
        """CuPy's kernel for T = `real`; and a plan for the next launch with arrays like this one."""
        compiled = _gpu_kernel(self.path, f"{self.name}<{self.reals[real]}>")
        self.plan(real, array, compiled)
        return compiled

    def __str__(self):
        return f"{self.name} ({self.path.name})"

    def value(self, what, parameter, argument, real):
        """The argument, checked: an array or None, a null pointer; a number in the parameter's dtype."""
        if parameter.type in STRUCTS:
            return _struct(what, parameter.type, argument)
        if not parameter.is_array:
            return number(what, parameter.dtype(real), argument)
        if argument is None:
            return None
        if parameter.is_const and hasattr(argument, "flags"):
            argument = contiguous(argument)
        check_array(what, argument, parameter.dtype(real))
        if not parameter.is_const and not getattr(argument.flags, "writeable", True):  # CuPy's arrays have no such flag
            raise ValueError(f"{what} is written to, but the array of shape {argument.shape} is read-only")
        return argument


def _struct(what, kind, argument):
    """The bytes of a struct parameter: of a Divisor, that of a positive int; of any other, a NumPy record."""
    if kind == "Divisor":
        divided_by = int(number(what, DTYPES["int"], argument))
        if divided_by < 1:
            raise ValueError(f"{what} takes 1 to {2**31 - 1}, got {argument}")
        return divisor(divided_by)
    if not isinstance(argument, np.void) or argument.dtype != STRUCTS[kind]:
        raise TypeError(f"{what} takes a NumPy record of dtype {STRUCTS[kind]}, got a {type(argument).__name__}")
    return argument


class CudaFile:
    """``CudaFile("activation.cu").relu_forward``: the kernels of a .cu file, as attributes.

    file  its name in this folder, or the absolute path of another; a process reads each file once
    """

    def __init__(self, file):
        vars(self).update({name: Kernel(file, name) for name in kernels(FOLDER / file)}, _file=file)

    def __getattr__(self, name):
        has = ", ".join(name for name in vars(self) if name != "_file")
        raise AttributeError(f"{Path('kernels/cuda', vars(self).get('_file', ''))} has no kernel {name}; it has {has}")


def blocks(count, threads=THREADS):
    """How many blocks of so many threads it takes for `count` elements; never more than a grid-stride loop needs."""
    return min(math.ceil(count / threads), 65535)


def address(array):
    """Where an array begins, for a table of arrays; 0 for None."""
    if array is None:
        return 0
    return array.ctypes.data if isinstance(array, EmulatedArray) else array.data.ptr


@functools.cache
def _gpu_module(path):
    """The file compiled by NVRTC, with every kernel for each T; CuPy keeps the result on disk."""
    import cupy  # an optional package: whoever comes here has an array of it

    remark(f"compiling {path.name}, or finding it on disk")
    names = [f"{name}<{real}>" for name in kernels(path) for real in types(path).values()]
    code = f'#line 1 "{path.name}"\n' + text(path)  # what the compiler calls it in its messages
    options = ["-std=c++17", *([f"-arch={only}"] if (only := architecture(path)) else [])]
    module = cupy.RawModule(code=code, options=tuple(options), name_expressions=names)
    try:
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        raise KernelError(f"{path.name} does not compile for this GPU:\n{error}") from None
    return module


@functools.cache
def _gpu_kernel(path, name):
    return _gpu_module(path).get_function(name)


def _check_shared(kernel, compiled, shared):
    """KernelError if a thread block cannot have so much dynamic shared memory on the current GPU."""
    import cupy  # an optional package: whoever comes here has an array of it

    most = _allow_shared(compiled, cupy.cuda.runtime.getDevice())
    if shared > most:
        raise KernelError(f"{kernel}: {shared} bytes of shared memory; a block can have {most} on this GPU")


@functools.cache
def _allow_shared(compiled, gpu):
    """Let the compiled kernel have as much dynamic shared memory as this GPU has; how many bytes that is."""
    import cupy  # an optional package: whoever comes here has an array of it

    most = cupy.cuda.Device(gpu).attributes["MaxSharedMemoryPerBlockOptin"] - compiled.shared_size_bytes
    compiled.max_dynamic_shared_size_bytes = most
    return most
