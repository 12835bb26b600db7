"""What a GPU's kernel is handed, in either language: the checks that a GPU does not make, and arrays of the right kind.

A kernel receives bare addresses and bytes. An array of another dtype, with gaps in it or on the other side of the bus,
or a number of another width, gives no error there but garbage, or the death of the process.
"""

import contextlib
import functools
import math
import numbers
import sys

import numpy as np

from minicnn.device import array_module, device_of
from minicnn.emulated import EmulatedArray, on_device
from minicnn.precision import BFLOAT16
from minicnn.precision import takes_bfloat16 as takes_bfloat16  # the mark of a function that takes such arrays itself

from .plan import Plan

MAX_THREADS, MAX_BLOCK, MAX_GRID = 1024, (1024, 1024, 64), (2**31 - 1, 65535, 65535)


class CheckedKernel:
    """A kernel of either language: ``kernel[grid, block](*arguments)``. What is right is launched by a Plan (plan.py).

    grid, block  thread blocks and the threads of each: an int, or a tuple of one to three, x first
    arguments    in the order of the kernel's parameters: C-contiguous arrays on device "cuda", and numbers

    T is the dtype of the arrays whose parameters say so; a number of the type T is made one of that dtype, lest it make
    their arithmetic float64. Nothing happens where the grid or the block is empty. TypeError and ValueError name the
    kernel and the parameter. A subclass has ``launch(grid, block, *arguments)``, ``__str__`` and
    ``value(what, parameter, argument, real)``, the argument checked; its messages begin with `what`.

    parameters  a list; each has name, is_array, is_real (whether its numbers are T's), dtype(real) and ``str``; for
                plans kind (int, float, bool, None), is_optional (None instead of an array), axes (None: any number)
    reals       the dtypes that T may be
    """

    absent = None  # what a kernel is handed on a GPU for an array that is None

    def __init__(self, parameters, reals):
        self.parameters, self.reals = parameters, reals
        self.named = [(p, f"{self}: parameter {p}") for p in parameters]  # what messages begin with
        self.of_real = [i for i, p in enumerate(parameters) if p.is_array and p.is_real]
        self.plans = {}  # by what T is

    def __getitem__(self, sizes):
        return functools.partial(self.launch, *sizes)

    def planned(self, arguments, reaches=()):
        """(the plan, what it makes of the arguments); (None, None) where ``checked`` must look at them."""
        if len(arguments) == len(self.parameters):
            for i in self.of_real:
                if arguments[i] is not None:
                    plan = self.plans.get(getattr(arguments[i], "dtype", None))
                    values = plan and plan.values(arguments, reaches)
                    return (plan, values) if values else (None, None)
        return None, None

    def plan(self, real, array, compiled=None):
        """Make the plan for T = `real` and arrays of this kind, if they are CuPy's; compiled: what a launch calls."""
        ndarray = getattr(sys.modules.get("cupy"), "ndarray", None)
        if type(array) is ndarray:
            self.plans[real] = Plan(self, real, ndarray, self.absent, compiled)

    def sizes(self, grid, block):
        """Both as (x, y, z)."""
        grid, block = self._size("grid", grid, MAX_GRID), self._size("block", block, MAX_BLOCK)
        if math.prod(block) > MAX_THREADS:
            raise ValueError(f"{self}: block {block} has {math.prod(block)} threads; {MAX_THREADS} is the most")
        return grid, block

    def _size(self, what, size, limits):
        given = (size,) if type(size) is int else size
        if type(given) is tuple and len(given) <= 3:  # quickly, if nothing is wrong
            x, y, z = sizes = given + (1, 1, 1)[len(given) :]
            whole = type(x) is int and type(y) is int and type(z) is int
            if whole and 0 <= x <= limits[0] and 0 <= y <= limits[1] and 0 <= z <= limits[2] and given:
                return sizes
        size = tuple(size) if isinstance(size, (tuple, list)) else (size,)
        if not 1 <= len(size) <= 3 or not all(isinstance(n, numbers.Integral) for n in size):
            raise TypeError(f"{self}: {what} must be one to three whole numbers, got {size}")
        size = tuple(int(n) for n in size) + (1,) * (3 - len(size))
        if not all(0 <= n <= limit for n, limit in zip(size, limits, strict=True)):
            raise ValueError(f"{self}: {what} {size} is not between 0 and {limits}")
        return size

    def checked(self, arguments):
        """(the dtype that T stands for, the arguments: arrays as they are, numbers in their parameters' dtypes)."""
        if len(arguments) != len(self.parameters):
            takes = ", ".join(str(p) for p in self.parameters)
            raise TypeError(f"{self} takes {len(self.parameters)} arguments ({takes}), got {len(arguments)}")
        pairs = zip(self.parameters, arguments, strict=True)
        real = self._real([(p, a) for p, a in pairs if p.is_array and p.is_real and hasattr(a, "dtype")])
        return real, [self.value(what, p, a, real) for (p, what), a in zip(self.named, arguments, strict=True)]

    def _real(self, given):
        if not given and len(self.reals) == 1:
            return next(iter(self.reals))
        if not given:
            raise TypeError(f"{self}: no array says what T is")
        first, array = given[0]
        if any(a.dtype != array.dtype for _, a in given):
            raise TypeError(f"{self}: T cannot be {' and '.join(f'{a.dtype} ({p.name})' for p, a in given)}")
        if array.dtype not in self.reals:
            raise TypeError(f"{self}: {first.name} is {array.dtype}; T is {' or '.join(map(str, self.reals))}")
        return array.dtype


def check_array(what, value, dtype):
    """TypeError or ValueError, beginning with `what`, unless `value` is a C-contiguous array of that dtype on a GPU."""
    if not hasattr(value, "dtype") or not hasattr(value, "flags"):
        raise TypeError(f"{what} takes an array, got a {type(value).__name__}")
    if device_of(value) != "cuda":
        raise TypeError(f"{what} takes an array on device 'cuda', got one on 'cpu'; move it with to_device")
    if value.dtype != dtype:
        raise TypeError(f"{what} takes {dtype}, got an array of {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{what} takes a C-contiguous array, got shape {value.shape} with strides {value.strides}")


def check_one_gpu(what, arrays):
    """ValueError, beginning with `what`, unless all arrays are on the same GPU, and it is CuPy's current one."""
    if len({str(getattr(a, "device", None)) for a in arrays}) > 1:
        raise ValueError(f"{what}: the arrays are on several GPUs: {', '.join(str(a.device) for a in arrays)}")
    gpu = getattr(arrays[0], "device", None)
    if hasattr(gpu, "id"):
        import cupy  # an optional package: whoever comes here has an array of it

        if gpu != cupy.cuda.Device():
            raise ValueError(
                f"{what}: the arrays are on {gpu}, but {cupy.cuda.Device()} is the current GPU; put the call into "
                f"`with cupy.cuda.Device({gpu.id}):`"
            )


def check_alike(what, first, *others):
    """ValueError, beginning with `what`, unless each of the lists `others` has an array (or None) for each of `first`,
    of its shape and dtype: kernels that go by the size of the one read the others that far, too."""
    for number, (array, *partners) in enumerate(zip(first, *others, strict=True)):
        for other in partners:
            if other is not None and not (other.shape == array.shape and other.dtype == array.dtype):
                raise ValueError(
                    f"{what}: at {number}, arrays of shapes {array.shape} and {other.shape}, {array.dtype} and "
                    f"{other.dtype}, cannot be taken together"
                )


def check_positions(x_shape, y_shape):
    """ValueError unless all pixels of the images of one channel, and all windows, can be counted by an int."""
    n, positions = x_shape[0], max(math.prod(shape[2:]) for shape in (x_shape, y_shape))
    if n * positions >= 2**31:
        raise ValueError(f"conv2d: {n} images of {positions} positions are too many for one call; take fewer at a time")


def number(what, dtype, value):
    """`value` as a number of that dtype; TypeError or ValueError, beginning with `what`, if it is none."""
    kind = type(value)  # asked first: nearly all are plain numbers, and the abstract classes answer slowly
    is_int = kind is int
    if not (is_int or kind is float) and (
        isinstance(value, np.ndarray) or not isinstance(value, (numbers.Real, np.bool_))
    ):
        raise TypeError(f"{what} takes a number, got a {kind.__name__}")
    if dtype.kind == "f":
        return dtype.type(value)
    if not is_int and not isinstance(value, (numbers.Integral, np.bool_)):
        raise TypeError(f"{what} takes a whole number, got {value!r}")
    low, high = _limits(dtype)
    if not low <= int(value) <= high:
        raise ValueError(f"{what} takes {low} to {high}, got {value}")
    return dtype.type(int(value))


@functools.cache
def _limits(dtype):
    """The least and the largest whole number of that dtype."""
    return (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)


def contiguous(array):
    """`array`, or a C-contiguous copy of it; None stays None."""
    if array is None or array.flags.c_contiguous:
        return array
    if array.dtype == BFLOAT16:  # as bits: CuPy's own kernels for bfloat16 need headers that not everybody has
        return array.view(np.uint16).copy(order="C").view(BFLOAT16)
    return array.copy(order="C")


def write_back(given, used):
    """What an optimiser's kernel has made of copies, into the arrays that have gaps.

    given, used  for each parameter, the arrays (w, gradient, ...) and what the kernel was handed, arrays or copies; a
                 gradient is only read
    """
    for arrays, copies in zip(given, used, strict=True):
        for place, (array, copy) in enumerate(zip(arrays, copies, strict=True)):
            if copy is not array and place != 1:
                array[...] = copy


@contextlib.contextmanager
def in_place(arrays):
    """``with in_place((a, b)) as (x, y)``: arrays without gaps that a kernel may change, written back after the block
    where they are copies. For None in place of the pair, two of them."""
    used = (None, None) if arrays is None else tuple(map(contiguous, arrays))
    yield used
    for array, copy in zip(arrays or (), used, strict=False):
        if copy is not array:
            array[...] = copy


def empty(like, shape, dtype=None):
    """An array of that shape with any content, on the device (and, by default, of the dtype) of `like`."""
    array = array_module(like).empty(shape, dtype or like.dtype)
    return on_device(array) if isinstance(like, EmulatedArray) else array


def is_channels_last(array):
    """Whether an array (N, C, H, W) lies in memory as (N, H, W, C), without gaps."""
    return array.ndim == 4 and nhwc_view(array).flags.c_contiguous


def empty_channels_last(like, shape, dtype=None):
    """As ``empty``; channels-last in memory if the shape is (N, C, H, W)."""
    if len(shape) != 4:
        return empty(like, shape, dtype)
    n, channels, *size = shape
    return nchw_view(empty(like, (n, *size, channels), dtype))


def nhwc_view(array):
    """An array (N, C, H, W) as (N, H, W, C), which is how a kernel takes a channels-last one; None stays None."""
    return None if array is None else array.transpose(0, 2, 3, 1)


def nchw_view(array):
    """An array (N, H, W, C) as (N, C, H, W)."""
    return array.transpose(0, 3, 1, 2)


def filled(out, like, fill):
    """What ``fill(y)`` has made of a contiguous array y shaped as `like`: `out`, if that is not None, else y."""
    y = out if out is not None and out.flags.c_contiguous else empty(like, like.shape)
    fill(y)
    if out is None or out is y:
        return y
    out[...] = y
    return out


def folded_shape(shape, axes):
    """`shape` with so many axes: the last ones are taken as one, (N, C, H, W) as (N, C, H * W), or ones added."""
    return *shape[: axes - 1], *[1] * (axes - 1 - len(shape)), math.prod(shape[axes - 1 :])


def folded(array, axes):
    """The array, C-contiguous, in its ``folded_shape``; None stays None."""
    return array if array is None else contiguous(array).reshape(folded_shape(array.shape, axes))


def around(shape, dim):
    """(how many rows before the axis `dim`, its length, how many numbers behind it)."""
    return math.prod(shape[: dim % len(shape)]), shape[dim], math.prod(shape[dim % len(shape) + 1 :])


def as_rows(array):
    """(..., C) as a matrix (rows, C)."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])
