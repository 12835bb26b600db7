"""What every file of this folder needs: ``@kernel``, and a launch that checks what it hands over.

    @kernel
    def relu_forward(x: T[:], y: T[:]):      # what a kernel takes is said once, here: T is float32 or float64
        ...
    relu_forward[blocks(y.size), THREADS](x, y)

On a GPU the arrays are CuPy's: they are handed to Numba as they lie, on CuPy's current stream, and nobody waits. Where
the GPU is emulated, ``simulator.py`` runs every thread as Python, slowly: hence the small blocks.
"""

import functools
import inspect
import math
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
from numba import types

from minicnn import tally
from minicnn.capture import refuse_while_capturing
from minicnn.emulated import EmulatedArray, emulating

from ..arguments import CheckedKernel, check_array, check_one_gpu, contiguous, empty, filled, folded, number
from ..faults import named, sync_wanted, wait
from . import simulator
from .handover import Handover, Lent

SIMULATED = emulating()  # once for the life of the process
if SIMULATED:
    from numpy import exp, log, sqrt, tanh  # as on a GPU: float32 stays float32, and what is too large is infinity

    cuda, device = simulator.Cuda(), lambda function: function
else:
    from math import exp, log, sqrt, tanh

    from numba import cuda

    numba.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # of a grid below 128 blocks: a small layer's has a few
    device = cuda.jit(device=True)

THREADS = 8 if SIMULATED else 256  # of a thread block
TILE = 4 if SIMULATED else 16  # numbers along each side of a square tile, and threads of its block
MAX_BLOCKS = 2 if SIMULATED else 65535  # of a grid whose threads take several elements each

T = types.Opaque("T")  # the dtype of the arrays: float32 or float64
optional = types.Optional  # an array, or None
bool_, float32, int32, int64, uint64 = types.boolean, types.float32, types.int32, types.int64, types.uint64
Pair = types.UniTuple(int64, 2)  # of rows, of columns: a stride, a dilation
Pairs = types.UniTuple(Pair, 2)  # a padding: ((top, bottom), (left, right))
__all__ = ["contiguous", "empty", "exp", "folded", "log", "sqrt", "tanh"]  # besides what is defined here


class Parameter(NamedTuple):
    """One of a kernel's: ``x: T[:, :]``, ``bias: optional(T[:])``, ``size: int64``, ``lr: T``, ``stride: Pair``."""

    name: str
    type: types.Type  # of what is not None
    is_optional: bool

    @property
    def is_array(self):
        """Whether it takes an array, not a number or a tuple of numbers."""
        return isinstance(self.type, types.Array)

    @property
    def is_real(self):
        """Whether its numbers are of the type T."""
        return (self.type.dtype if self.is_array else self.type) is T

    @property
    def kind(self):
        """The type of Python's that a number for it usually has: int, float or bool; None for a tuple."""
        kinds = {types.Integer: int, types.Boolean: bool, types.Float: float, types.Opaque: float}  # the last is T
        return next((kind for numba, kind in kinds.items() if isinstance(self.type, numba)), None)

    @property
    def axes(self):
        """How many axes an array must have."""
        return self.type.ndim

    def dtype(self, real):
        """NumPy's dtype of the number, or of the array's numbers; `real` is what T stands for."""
        number = self.type.dtype if self.is_array else self.type
        return np.dtype(real if number is T else number.name.replace("boolean", "bool"))

    def __str__(self):
        if not self.is_array:
            return f"{self.name}: {self.type.name}"
        return f"{self.name}: {self.type.dtype.name}[{', '.join(':' * self.type.ndim)}]"


class Kernel(CheckedKernel):
    """``relu_forward[grid, block](x, y)``; an array has the number of axes that the annotation says.

    KernelError is what the simulator caught it at.
    """

    def __init__(self, function):
        self.function, self.__doc__ = function, function.__doc__
        self.file, self.name = Path(inspect.getfile(function)).name, function.__name__
        given = inspect.signature(function).parameters.values()
        super().__init__([_parameter(self, p) for p in given], [np.dtype(np.float32), np.dtype(np.float64)])
        self.compiled = None if SIMULATED else cuda.jit(function, extensions=[Handover])

    def __str__(self):
        return f"{self.name} ({self.file})"

    def launch(self, grid, block, *arguments):
        """``self[grid, block](*arguments)``."""
        grid, block = self.sizes(grid, block)
        plan, values = self.planned(arguments)
        if plan is None:
            real, values = self.checked(arguments)
            arrays = [v for p, v in zip(self.parameters, values, strict=True) if p.is_array and v is not None]
            check_one_gpu(self, arrays)
            self.plan(real, arrays[0])
        if 0 in grid or 0 in block:
            return
        if SIMULATED:
            tally.launch(self.name, functools.partial(cuda.launch, self.function, grid, block, values))
            return
        refuse_while_capturing(f"{self}, one of Numba's kernels,")
        import cupy  # an optional package: whoever comes here has an array of it

        stream = _stream(cupy.cuda.get_current_stream().ptr)
        values = [Lent(v) if isinstance(v, cupy.ndarray) else v for v in values]
        try:
            self.compiled[grid, block, stream](*values)
            if sync_wanted():
                wait()
        except Exception as error:  # Numba's are not RuntimeErrors
            raise named(self, error) from None

    def value(self, what, parameter, argument, real):
        """The argument, checked: an array as it is, a number in the parameter's dtype, None where it is optional."""
        if argument is None and parameter.is_optional:
            return None
        if isinstance(parameter.type, types.BaseTuple):
            if not isinstance(argument, tuple) or numba.typeof(argument) != parameter.type:
                raise TypeError(f"{what} takes no {argument!r}")
            return argument
        if not parameter.is_array:
            return number(what, parameter.dtype(real), argument)
        check_array(what, argument, parameter.dtype(real))
        if isinstance(argument, EmulatedArray) != SIMULATED:
            raise TypeError(
                f"{what}: the array is {'not ' if SIMULATED else ''}emulated, but when the first kernel ran the GPU "
                f"was{'' if SIMULATED else ' not'}; set MINICNN_EMULATE_GPU before, and leave it"
            )
        if argument.ndim != parameter.type.ndim:
            raise ValueError(f"{what} takes {parameter.type.ndim} axes, got shape {argument.shape}")
        return argument


@functools.lru_cache(64)
def _stream(address):
    """CuPy's stream as Numba's."""
    return cuda.external_stream(address)


kernel = Kernel  # as a decorator


def blocks(count):
    """How many thread blocks to launch for `count` elements, where each thread takes one in every so many of them::

    for i in range(cuda.grid(1), count, cuda.gridsize(1)):  # [0, count)
    """
    return min(math.ceil(count / THREADS), MAX_BLOCKS)


def elementwise(kernel, *arrays, out=None, numbers=()):
    """The array that an element-wise kernel makes of arrays of one shape, which it sees as one long row each; written
    into `out` if that is not None. The kernel takes them, the result, and after it the `numbers`."""
    launch = kernel[blocks(arrays[0].size), THREADS]
    return filled(out, arrays[0], lambda y: launch(*(folded(array, 1) for array in (*arrays, y)), *numbers))


def _parameter(kernel, parameter):
    annotation = parameter.annotation
    is_optional = isinstance(annotation, types.Optional)
    kind = annotation.type if is_optional else annotation
    if not isinstance(kind, types.Type) or parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
        says = "has no annotation" if annotation is parameter.empty else f"is annotated {annotation!r}"
        raise TypeError(
            f"{kernel}: parameter {parameter} {says}; say what it takes, such as {parameter.name}: T[:, :], an array, "
            "optional(T[:]), an array or None, int64 or T"
        )
    return Parameter(parameter.name, kind, is_optional)
