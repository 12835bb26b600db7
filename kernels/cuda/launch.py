"""Launching a kernel, with everything checked that a GPU does not check.

A kernel receives bare addresses and bytes. An array of another dtype, with gaps in it or on the other side of the bus,
or a number of another width, gives no error there but garbage, or the death of the process.
"""

import functools
import math
import numbers

import numpy as np

from minicnn.emulated import EmulatedArray
from minicnn.kernels.arguments import check_array, check_one_gpu, contiguous, empty, number

from . import emulator
from .source import FOLDER, KernelError, Parameter, kernels, text, types

__all__ = ["contiguous", "empty"]  # besides what is defined here

THREADS = 256  # of a block, where nothing speaks for another number
MAX_THREADS, MAX_BLOCK, MAX_GRID = 1024, (1024, 1024, 64), (2**31 - 1, 65535, 65535)
MAX_SHARED = 48 << 10  # bytes that every GPU gives a block


class Kernel:
    """``Kernel("activation.cu", "relu_forward")(grid, block, *arguments, shared=0, reaches=())``.

    grid, block  an int, or a tuple of one to three, x first; nothing happens where one of them is 0
    arguments    in the order of the kernel's parameters: arrays (or None: a null pointer) and numbers
    shared       bytes of dynamic shared memory
    reaches      the arrays of T whose addresses stand in a table among the arguments

    T is the dtype of the arrays that stand for ``T *``. TypeError and ValueError name the kernel and the parameter.
    """

    def __init__(self, file, name):
        self.path, self.name = FOLDER / file, name
        if name not in kernels(self.path):
            raise KernelError(f"{file} has no kernel {name}, a template <typename T> __global__ void {name}(...)")
        self.parameters = kernels(self.path)[name]

    def __call__(self, grid, block, *arguments, shared=0, reaches=()):
        grid, block = self._sizes("grid", grid, MAX_GRID), self._sizes("block", block, MAX_BLOCK)
        if math.prod(block) > MAX_THREADS:
            raise ValueError(f"{self}: block {block} has {math.prod(block)} threads; {MAX_THREADS} is the most")
        if not 0 <= shared <= MAX_SHARED:
            raise ValueError(f"{self}: {shared} bytes of shared memory; a block can have 0 to {MAX_SHARED}")
        if len(arguments) != len(self.parameters):
            takes = ", ".join(str(p) for p in self.parameters)
            raise TypeError(f"{self} takes {len(self.parameters)} arguments ({takes}), got {len(arguments)}")
        real = self._real(arguments)
        values = [self._checked(p, a, real) for p, a in zip(self.parameters, arguments, strict=True)]
        reached = [self._checked(Parameter(f"reaches[{i}]", "T", True, True), a, real) for i, a in enumerate(reaches)]
        arrays = [a for p, a in zip(self.parameters, arguments, strict=True) if p.is_array and a is not None] + reached
        check_one_gpu(self, arrays)
        if 0 in grid or 0 in block:
            return
        if isinstance(arrays[0], EmulatedArray):
            emulator.launch(self, types(self.path)[real], grid, block, values, shared, reached)
        else:
            _gpu_kernel(self.path, f"{self.name}<{types(self.path)[real]}>")(
                grid, block, _pointers(values), shared_mem=shared
            )

    def __str__(self):
        return f"{self.name} ({self.path.name})"

    def _sizes(self, what, sizes, limits):
        sizes = (sizes,) if isinstance(sizes, numbers.Integral) else tuple(sizes)
        if not 1 <= len(sizes) <= 3 or not all(isinstance(n, numbers.Integral) for n in sizes):
            raise TypeError(f"{self}: {what} must be one to three whole numbers, got {sizes}")
        sizes = tuple(int(n) for n in sizes) + (1,) * (3 - len(sizes))
        if not all(0 <= n <= limit for n, limit in zip(sizes, limits, strict=True)):
            raise ValueError(f"{self}: {what} {sizes} is not between 0 and {limits}")
        return sizes

    def _real(self, arguments):
        """The dtype that T stands for."""
        given = [(p, a) for p, a in zip(self.parameters, arguments, strict=True) if p.is_array and p.type == "T"]
        given = [(p.name, a.dtype) for p, a in given if hasattr(a, "dtype")]
        if not given:
            raise TypeError(f"{self}: no array says what T is")
        if len({dtype for _, dtype in given}) > 1:
            raise TypeError(f"{self}: T cannot be {' and '.join(f'{dtype} ({name})' for name, dtype in given)}")
        name, dtype = given[0]
        if dtype not in types(self.path):
            raise TypeError(f"{self}: {name} is {dtype}; T is {' or '.join(map(str, types(self.path)))}")
        return dtype

    def _checked(self, parameter, value, real):
        """The array as it is, or the number in the parameter's dtype."""
        what = f"{self}: parameter {parameter}"
        dtype = parameter.dtype(real)
        if not parameter.is_array:
            return number(what, dtype, value)
        if value is None:
            return None
        check_array(what, value, dtype)
        if not parameter.is_const and not getattr(value.flags, "writeable", True):  # CuPy's arrays have no such flag
            raise ValueError(f"{what} is written to, but the array of shape {value.shape} is read-only")
        return value


def blocks(count, threads=THREADS):
    """How many blocks of so many threads it takes for `count` elements; never more than a grid-stride loop needs."""
    return min(math.ceil(count / threads), 65535)


def address(array):
    """Where an array begins, for a table of arrays; 0 for None."""
    if array is None:
        return 0
    return array.ctypes.data if isinstance(array, EmulatedArray) else array.data.ptr


def _pointers(values):
    """For CuPy: None as the address 0."""
    return tuple(np.uint64(0) if value is None else value for value in values)


@functools.cache
def _gpu_module(path):
    """The file compiled by NVRTC, with every kernel for each T; CuPy keeps the result on disk."""
    import cupy  # an optional package: whoever comes here has an array of it

    names = [f"{name}<{real}>" for name in kernels(path) for real in types(path).values()]
    code = f'#line 1 "{path.name}"\n' + text(path)  # what the compiler calls it in its messages
    module = cupy.RawModule(code=code, options=("-std=c++17",), name_expressions=names)
    try:
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        raise KernelError(f"{path.name} does not compile for this GPU:\n{error}") from None
    return module


@functools.cache
def _gpu_kernel(path, name):
    return _gpu_module(path).get_function(name)
