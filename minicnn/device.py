"""Where arrays live and which implementation of an op runs: the whole dispatch.

             tier "plain": written to be read       tier "fast": written to be run
    "cpu"    NumPy, minicnn/ops/                    Numba + BLAS, kernels/cpu/
    "cuda"   Numba CUDA, kernels/numba_cuda/        CUDA C++, kernels/cuda/

An op's page calls ``self.run(conv2d_forward, ...)``. On the processor's plain tier that is the page's own NumPy
function. In the other three quarters of the table it is the function *of the same name* in the module *of the
same stem*: ``conv2d_forward`` of ``minicnn/ops/conv.py`` is mirrored by ``conv2d_forward`` of
``kernels/cpu/conv.py``, and so on. Nothing is registered, and nothing falls back silently: a mirror that does
not exist is an error that names the op, the device and the tier.

Arrays on "cuda" are CuPy's; with ``MINICNN_EMULATE_GPU=1`` they are NumPy arrays that say so (``emulated.py``), and the
GPU's kernels run on the processor.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .capture import refuse_while_capturing
from .deferred import marks
from .deviceerrors import DeviceError as DeviceError
from .deviceerrors import KernelError as KernelError
from .deviceerrors import OutOfMemoryError as OutOfMemoryError
from .deviceerrors import naming_gpu_errors
from .deviceerrors import naming_memory_errors as naming_memory_errors
from .emulated import EmulatedArray, emulating, on_device
from .precision import BFLOAT16
from .switch import Block, Choice
from .tally import tally
from .types import Array, Shape

DEVICES = ("cpu", "cuda")
TIERS = ("plain", "fast")
MIRRORS = {("cpu", "fast"): "cpu", ("cuda", "plain"): "numba_cuda", ("cuda", "fast"): "cuda"}  # folders of kernels/

_tier = Choice("tier", TIERS, "fast")


class Device(str):
    """The name of a device, with PyTorch's questions: ``x.device.type == "cuda"``, ``minicnn.device("cuda")``."""

    def __new__(cls, type: str) -> "Device":
        if type not in DEVICES:
            raise ValueError(f"unknown device {type!r}; it is one of {', '.join(DEVICES)}")
        return super().__new__(cls, type)

    @property
    def type(self) -> str:
        """The name itself."""
        return str(self)

    @property
    def index(self) -> Any:
        """Which GPU: 0, the first; None for the processor. (Of a str, ``index`` finds a part of it.)"""
        return 0 if self == "cuda" else None


def current_tier() -> str:
    """The tier that ops of this thread run on now: "plain" or "fast"."""
    return _tier.current()


def set_tier(name: str) -> None:
    """Choose the implementation, "plain" or "fast", for every op of the process from now on.

    Another thread's ``with tier(...)`` block keeps its own until its end.
    """
    _tier.set("set_tier", name)


class tier(Block):
    """``with tier("plain"): ...`` (or as a decorator) runs this thread's ops of the block on that tier."""

    def __init__(self, name: str) -> None:
        super().__init__(*_tier.inside("tier", name))


@functools.cache
def implementation(reference: Callable, device: str, tier: str) -> Callable:
    """The function that does `reference`'s work on `device` in `tier`; DeviceError if there is none."""
    folder = MIRRORS.get((device, tier))
    if folder is None:  # device "cpu", tier "plain": the page itself
        return reference
    stem = reference.__module__.rpartition(".")[2]  # "conv" of minicnn.ops.conv
    module_name = f"minicnn.kernels.{folder}.{stem}"
    where = f"device {device!r}, tier {tier!r} (kernels/{folder}/{stem}.py)"
    other = "plain" if tier == "fast" else "fast"
    elsewhere = ", or device 'cpu', tier 'plain'" if device == "cuda" else ""
    way_out = f"choose tier {other!r}{elsewhere}, or write it (kernels/README.md)"
    try:
        module = importlib.import_module(module_name)  # by name, when first asked for: kernels import this file
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # the kernel file exists; what is missing is a library that it imports
        raise DeviceError(f"{reference.__name__} has no kernel for {where}; {way_out}") from None
    try:
        return getattr(module, reference.__name__)  # the mirror has the reference's name and arguments
    except AttributeError:
        raise DeviceError(f"{reference.__name__} has no kernel for {where}; {way_out}") from None


def cpu_threads() -> int:
    """How many threads the fast tier's kernels work with on the CPU. EnvVarError if $MINICNN_THREADS is no number."""
    return importlib.import_module("minicnn.kernels.cpu.machine.threads").threads()


def set_cpu_threads(count: int) -> None:
    """Have the fast tier's kernels work with so many threads on the CPU from now on."""
    importlib.import_module("minicnn.kernels.cpu.machine.threads").set_threads(count)


def cpu_unit() -> str:
    """Which unit of the processor multiplies in the fast tier. EnvVarError if $MINICNN_CPU names none that is there."""
    return importlib.import_module("minicnn.kernels.cpu.machine.unit").unit()


def cpu_cores() -> list[int]:
    """The numbers of the cores that this process may run on."""
    return importlib.import_module("minicnn.kernels.cpu.machine.cores").usable()


def is_array(value: object) -> bool:
    """Whether `value` is an array of one of the two libraries: NumPy's, or CuPy's on the GPU."""
    return isinstance(value, np.ndarray) or on_real_gpu(value)


def plain_array(value: Any) -> Array:
    """`value` as an array of one of the two libraries: itself, or what ``np.asarray`` makes of it; of another
    library's array on the GPU, as PyTorch's, CuPy's of the same memory.

    TypeError for a masked array, whose hidden numbers would be computed with, a list of arrays on the GPU, and a dtype
    that NumPy does not have; ValueError for lists of different lengths. A matrix becomes an ordinary array of the same
    memory, whose ``*`` is no matrix product.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask; give its .filled(...) values")
    if isinstance(value, EmulatedArray):
        return value
    if on_real_gpu(value):
        return _cupy().asarray(value)  # itself where it is CuPy's
    if _lists_gpu_arrays(value):
        raise TypeError("a list of arrays on the GPU is no array; put them together first: cupy.stack makes one array")
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError("lists of different lengths make no array; give each row as many numbers") from None
        raise
    except TypeError as error:  # of PyTorch's bfloat16, which its conversion to NumPy does not know
        if "ScalarType" not in str(error):
            raise
        what = f"a {type(value).__module__.partition('.')[0]}.{type(value).__name__} of {value.dtype}"
        raise TypeError(f"NumPy cannot have {what}; convert it there, to float32 say") from None


def host_array(value: Any) -> Array:
    """As ``plain_array``, and from the GPU a copy: where values are looked at or kept, wherever they come from."""
    return to_device(plain_array(value), "cpu")


def _lists_gpu_arrays(value):
    if isinstance(value, (list, tuple)):
        return any(map(_lists_gpu_arrays, value))  # lists within lists
    return isinstance(value, EmulatedArray) or on_real_gpu(value)


def on_real_gpu(value: object) -> bool:
    """Whether `value` is an array on a GPU, CuPy's or another library's. CuPy's is known by its class: each op asks
    often, and it would make the whole description. (PyTorch's class has one too, of which a tensor in memory has none.)
    """
    return type(value).__module__.startswith("cupy.") or hasattr(value, "__cuda_array_interface__")


def array_module(array: object) -> Any:
    """The array library of `array`: numpy, or cupy for an array on the GPU (an emulated one is NumPy's)."""
    if isinstance(array, (np.ndarray, np.generic)):  # an emulated array is a NumPy array, too
        return np
    if on_real_gpu(array):
        return _cupy()
    raise TypeError(f"a {type(array).__name__} is no array; np.asarray makes one of numbers")


def share_memory(a: Array, b: Array) -> bool:
    """Whether two arrays may lie in the same memory; not if they are on different devices."""
    if a is b:  # the quickest answers first: each op asks several times
        return True
    if type(a) is type(b) is np.ndarray:
        owners = a.base is None and b.base is None  # each of memory of its own
        return not owners and np.may_share_memory(a, b)
    if device_of(a) != device_of(b):
        return False
    if isinstance(a, np.ndarray):
        return np.may_share_memory(a, b)
    mine, other = a.data.mem, b.data.mem  # what the pool has handed out: mostly that tells, and soon
    apart = mine.ptr + mine.size <= other.ptr or other.ptr + other.size <= mine.ptr
    return not apart and _cupy().may_share_memory(a, b)


def full(like: Array, shape: Shape, value: Any) -> Array:
    """An array of that shape, filled with `value`, on the device and of the dtype of `like`."""
    array = array_module(like).full(shape, value, like.dtype)
    if counts := tally():
        counts.computed("full", functools.partial(array.fill, value))
    return on_device(array) if isinstance(like, EmulatedArray) else array


def as_array(value: Any) -> Any:
    """`value` as an array again, where NumPy has made a scalar of an array without axes."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def device_of(array: object) -> str:
    """Where an array lives: "cpu" for a NumPy array, "cuda" for a CuPy array or an emulated one."""
    if type(array) is np.ndarray:  # the usual case first: each op asks some ten times
        return "cpu"
    if isinstance(array, EmulatedArray):
        return "cuda"
    return "cpu" if array_module(array) is np else "cuda"


def to_device(array: Array, device: str) -> Array:
    """`array` on `device`: itself where it is there already, else a copy.

    A copy to the processor waits for the GPU, and raises what kernels have found wrong (``deferred.py``).
    """
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}; it is one of {', '.join(DEVICES)}")
    if device == device_of(array):
        return array
    refuse_while_capturing(f"a copy of an array of shape {array.shape} to {device!r}")
    if device == "cuda":
        with naming_memory_errors(f"to_device of shape {array.shape}"):
            if not emulating():
                return _cupy().asarray(array)
            if counts := tally():
                counts.uploaded(array.nbytes)
            return on_device(np.array(array))
    return to_host(array)[0]


def check_available(device: str) -> None:
    """DeviceError, with the reason and the ways out, if there is no such device here."""
    if device == "cuda" and not emulating():
        _cupy()


def to_host(*arrays: Array) -> list[Array]:
    """The values of arrays as NumPy arrays. The host waits for the GPU once, if one of them is there, and raises what
    kernels have found wrong (``deferred.py``). KernelError if the GPU has given a kernel up."""
    if arrays and all(device_of(array) == "cpu" for array in arrays):
        return list(arrays)
    refuse_while_capturing("a copy to the host")
    looked_at = list(marks)
    copies = copy_to_host(*arrays, *(mark.array for mark in looked_at))
    for mark, values in zip(looked_at, copies[len(arrays) :], strict=True):
        mark.check(values)  # the host has waited for the kernels: now they are known to be right or wrong
    return copies[: len(arrays)]


def copy_to_host(*arrays: Array) -> list[Array]:
    """As ``to_host``, whatever kernels have found. KernelError if the GPU has given one up: only who waits for it
    learns of that."""
    copies = [np.array(array) if isinstance(array, np.ndarray) else None for array in arrays]
    on_gpu = [i for i, copy in enumerate(copies) if copy is None]
    if (counts := tally()) and copies:
        counts.copied_to_host(sum(array.nbytes for array in arrays))
    if not on_gpu:
        return copies  # type: ignore[return-value]  # none of them is None
    cupy, (first, *others) = _cupy(), on_gpu
    with naming_gpu_errors():
        pinned = {i: _start_copy(_as_bits(arrays[i])) for i in others}
        copies[first] = cupy.asnumpy(_as_bits(arrays[first]))  # the wait: for this copy, and all asked for before it
    for i, copy in pinned.items():
        copies[i] = np.array(copy)  # out of pinned memory, which is scarce and used again
    for i in on_gpu:
        copies[i] = copies[i].view(arrays[i].dtype)
    return copies  # type: ignore[return-value]


def _as_bits(array):
    """A bfloat16 array as whole numbers of 16 bits, for which CuPy's copies need no header of CUDA's."""
    return array.view(np.uint16) if array.dtype == BFLOAT16 else array


def _start_copy(array):
    """A NumPy array in pinned memory, into which `array` on the GPU is being copied; nobody waits for it yet."""
    import cupyx  # an optional package: there is an array of CuPy's

    host = cupyx.empty_pinned(array.shape, array.dtype)
    on_another = array.device != _cupy().cuda.Device()  # whose work the wait for this GPU does not include
    array.get(out=host, blocking=on_another)
    return host


_gpu = 0


def choose_gpu(number: int) -> None:
    """Have "cuda" be that one of the machine's n GPUs, `number` modulo n, from the first array there on: for programs
    of several processes, each of which has its own. It holds for the thread that makes this first array."""
    global _gpu
    _gpu = number


@functools.cache
def _cupy():
    ways_out = (
        "run on device 'cpu', set MINICNN_EMULATE_GPU=1 to try the GPU's kernels on the processor, or install the "
        "extra cuda12 or cuda13 on a machine with an NVIDIA GPU"
    )
    try:
        import cupy  # an optional package: only whoever asks for the GPU needs it
    except ImportError as error:
        raise DeviceError(f"device 'cuda' needs CuPy, which cannot be imported ({error}); {ways_out}") from None
    try:
        gpus = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        reason = f"no GPU, no driver, or a driver too old for CuPy {cupy.__version__} ({error})"
        raise DeviceError(f"device 'cuda': CuPy finds {reason}; {ways_out}") from None
    if _gpu % gpus:
        cupy.cuda.Device(_gpu % gpus).use()
    return cupy
