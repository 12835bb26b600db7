"""What every file of this folder needs: ``@kernel``, and a launch that checks what it hands over.

    @kernel
    def relu_forward(x: T[:], y: T[:]):      # what a kernel takes is said once, here: T is float32 or float64
        ...
    relu_forward[blocks(y.size), THREADS](x, y)

On a GPU the arrays are CuPy's: they are handed to Numba as they lie, on CuPy's current stream, and nobody waits. Where
the GPU is emulated, ``simulator.py`` runs every thread as Python, slowly: hence the small blocks.
"""

import inspect
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import typeof, types

from minicnn.emulated import EmulatedArray, emulating
from minicnn.kernels.arguments import check_array, check_one_gpu, contiguous, empty, number

from . import simulator

SIMULATED = emulating()  # once for the life of the process
if SIMULATED:
    from numpy import exp, log, sqrt, tanh  # as on a GPU: float32 stays float32, and what is too large is infinity

    cuda, device = simulator.Cuda(), lambda function: function
else:
    from math import exp, log, sqrt, tanh

    from numba import cuda
    from numba.cuda.dispatcher import config

    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # of a grid below 128 blocks: a small layer's has a few
    device = cuda.jit(device=True)

THREADS = 8 if SIMULATED else 256  # of a block
SIDE = 4 if SIMULATED else 16  # threads along each side of a square block
MAX_BLOCKS = 2 if SIMULATED else 65535  # of a grid whose threads take several elements each

T = types.Opaque("T")  # the dtype of the arrays: float32 or float64
optional = types.Optional  # an array, or None
bool_, float32, int32, int64, uint64 = types.boolean, types.float32, types.int32, types.int64, types.uint64
__all__ = ["contiguous", "empty", "exp", "log", "sqrt", "tanh"]  # besides what is defined here


class Parameter(NamedTuple):
    """One of a kernel's: ``x: T[:, :]``, ``bias: optional(T[:])``, ``size: int64``, ``lr: T``,
    or a tuple of numbers, ``size: UniTuple(int64, 2)``."""

    name: str
    type: types.Type  # of what is not None
    is_optional: bool

    @property
    def is_array(self):
        return isinstance(self.type, types.Array)

    def dtype(self, real):
        """NumPy's dtype of the number, or of the array's numbers; `real` is what T stands for."""
        number = self.type.dtype if self.is_array else self.type
        return np.dtype(real if number is T else number.name.replace("boolean", "bool"))

    def __str__(self):
        if not self.is_array:
            return f"{self.name}: {self.type.name}"
        return f"{self.name}: {self.type.dtype.name}[{', '.join(':' * self.type.ndim)}]"


class AbsentArrays:
    """How None is handed to a kernel: as an address, 8 bytes, that it does not look at. (Numba compiles kernels for it,
    but a launch refuses it.)"""

    @staticmethod
    def prepare_args(kind, value, stream, retr):
        return (types.int64, 0) if kind == types.none else (kind, value)


class Kernel:
    """``relu_forward[grid, block](x, y)``: grid and block are an int or a tuple of one to three, x first.

    Arrays are C-contiguous, on device "cuda", of the dtype and the number of axes that the annotation says; a number of
    the type T is made one of the arrays' dtype, lest it make their arithmetic float64. Nothing happens where the grid
    is empty. TypeError and ValueError name the kernel and the parameter; KernelError what the simulator caught it at.
    """

    def __init__(self, function):
        self.function, self.__doc__ = function, function.__doc__
        self.file, self.name = Path(inspect.getfile(function)).name, function.__name__
        self.parameters = [_parameter(self, p) for p in inspect.signature(function).parameters.values()]
        self.compiled = None if SIMULATED else cuda.jit(function, extensions=[AbsentArrays])

    def __getitem__(self, sizes):
        grid, block = sizes
        return lambda *arguments: self._launch(grid, block, arguments)

    def __str__(self):
        return f"{self.name} ({self.file})"

    def _launch(self, grid, block, arguments):
        if len(arguments) != len(self.parameters):
            takes = ", ".join(str(p) for p in self.parameters)
            raise TypeError(f"{self} takes {len(self.parameters)} arguments ({takes}), got {len(arguments)}")
        real = self._real(arguments)
        values = [self._checked(p, a, real) for p, a in zip(self.parameters, arguments, strict=True)]
        check_one_gpu(self, [v for p, v in zip(self.parameters, values, strict=True) if p.is_array and v is not None])
        if 0 in (grid if isinstance(grid, tuple) else (grid,)):
            return
        if SIMULATED:
            cuda.launch(self.function, grid, block, values)
        else:
            import cupy  # an optional package: whoever comes here has an array of it

            stream = cuda.external_stream(cupy.cuda.get_current_stream().ptr)
            values = [cuda.as_cuda_array(v, sync=False) if isinstance(v, cupy.ndarray) else v for v in values]
            self.compiled[grid, block, stream](*values)

    def _real(self, arguments):
        """The dtype that T stands for."""
        given = [
            (p.name, a.dtype)
            for p, a in zip(self.parameters, arguments, strict=True)
            if p.is_array and p.type.dtype is T and hasattr(a, "dtype")
        ]
        if not given:
            raise TypeError(f"{self}: no array says what T is")
        if len({dtype for _, dtype in given}) > 1:
            raise TypeError(f"{self}: T cannot be {' and '.join(f'{dtype} ({name})' for name, dtype in given)}")
        name, dtype = given[0]
        if dtype not in (np.float32, np.float64):
            raise TypeError(f"{self}: {name} is {dtype}; T is float32 or float64")
        return dtype

    def _checked(self, parameter, value, real):
        """The array as it is, or the number in the parameter's type."""
        what = f"{self}: parameter {parameter}"
        if isinstance(parameter.type, types.BaseTuple):
            if not isinstance(value, tuple) or typeof(value) != parameter.type:
                raise TypeError(f"{what} takes no {value!r}")
            return value
        dtype = parameter.dtype(real)
        if not parameter.is_array:
            return number(what, dtype, value)
        if value is None and parameter.is_optional:
            return None
        check_array(what, value, dtype)
        if isinstance(value, EmulatedArray) != SIMULATED:
            raise TypeError(
                f"{what}: the array is {'not ' if SIMULATED else ''}emulated, but when the first kernel ran the GPU "
                f"was{'' if SIMULATED else ' not'}; set MINICNN_EMULATE_GPU before, and leave it"
            )
        if value.ndim != parameter.type.ndim:
            raise ValueError(f"{what} takes {parameter.type.ndim} axes, got shape {value.shape}")
        return value


kernel = Kernel  # as a decorator


def blocks(count):
    """How many blocks to launch for `count` elements, each thread taking every so-manieth of them::

    for i in range(cuda.grid(1), count, cuda.gridsize(1)):  # [0, count)
    """
    return min(math.ceil(count / THREADS), MAX_BLOCKS)


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
