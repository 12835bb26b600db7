"""Memory that another library sees, too: PyTorch's, JAX's, NumPy's, CuPy's arrays, without a copy (DLPack).

    theirs = torch.from_dlpack(x)          lent      x.__dlpack__: PyTorch's tensor lies in x's memory
    x = minicnn.from_dlpack(theirs)        borrowed  x lies in PyTorch's memory; so does Tensor(theirs)

What the other library writes into such memory is seen here, and raises no count (versions.py). So that no gradient is
worked out from other values than the forward pass has seen:

    borrowed, or lent before the forward pass, and held by the other library still
                             the graph keeps a copy of what it needs: a write changes nothing that is in it
    lent after it            backward() refuses, if it needs that memory: nobody knows whether it was written into

Memory that can only be read here (of ``minicnn.seal``, of a JAX array) is not lent, as others take no notice of that:
they get a copy. Nor is that of an emulated GPU, which is neither a GPU's nor the processor's.
"""

import weakref
from typing import Any

import numpy as np

from .deviceerrors import DeviceError
from .emulated import emulating
from .immutable import is_writeable
from .precision import BFLOAT16
from .settings import kind_of
from .types import Array
from .variable import Lending, Variable

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # DLPack's numbers of devices


def lend(tensor: Variable, stream: Any, max_version: Any, dl_device: Any, copy: bool | None) -> Any:
    """The capsule for another library, as ``__dlpack__`` returns it: of the tensor's own memory; of a copy where that
    is asked for, or where the memory can only be read. BufferError where neither can be."""
    array = tensor.data
    if tensor.requires_grad:
        what = "a Tensor that requires a gradient, which no other library would work out"
        raise BufferError(f"__dlpack__: {what}; lend x.detach()")
    if array.dtype == BFLOAT16:
        raise BufferError("__dlpack__: NumPy cannot lend bfloat16; lend x.float(), a copy")
    own = device_numbers(array)
    if dl_device is not None and tuple(map(int, dl_device)) != own:
        raise BufferError(f"__dlpack__: the Tensor is on device {own}, not {tuple(dl_device)}; move it with .to(...)")
    must_copy = copy or not is_writeable(array)
    if must_copy and copy is False:
        raise BufferError("__dlpack__: memory that can only be read is not lent; copy=None makes a copy of it")
    given = array.copy(order="K") if must_copy else array.view()  # an object of its own: alive as long as it is held
    if not must_copy:
        version = tensor.version
        version.count += 1  # from now on it may be written into: a graph that has saved it before refuses
        held = tuple(each for each in version.lendings if each.is_held())
        version.lendings = (*held, Lending(version.count, weakref.ref(given)))
    return _capsule(given, stream, max_version)


def borrow(value: Any) -> Array:
    """An array of NumPy's or CuPy's in the memory of another library's array. TypeError for what is none, BufferError
    for what cannot be shared: another kind of device, a dtype that NumPy does not have, what requires a gradient."""
    if not (hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__")):
        advice = "minicnn.tensor makes a Tensor of numbers, lists and other arrays"
        raise TypeError(f"from_dlpack: a {kind_of(value)} is no array that can be shared by DLPack; {advice}")
    kind, _ = device_numbers(value)
    if kind in (CPU, CUDA_HOST):
        try:
            return np.from_dlpack(value)
        except RuntimeError as error:  # "Unsupported dtype in DLTensor.": bfloat16, float8 ...
            what = f"NumPy cannot share a {kind_of(value)} of {getattr(value, 'dtype', 'this dtype')} ({error})"
            raise BufferError(f"from_dlpack: {what}; convert it there, to float32 say") from None
    if kind not in (CUDA, CUDA_MANAGED):
        raise BufferError(f"from_dlpack: a {kind_of(value)} on DLPack's device {kind}: neither the processor nor CUDA")
    if emulating():
        what = "device 'cuda' is emulated (MINICNN_EMULATE_GPU), and this array is on a real GPU"
        raise DeviceError(f"from_dlpack: {what}; copy it to the processor first")
    return _cupy().from_dlpack(value)


def device_numbers(array: Any) -> tuple[int, int]:
    """(DLPack's number of the kind of device, which of them). BufferError for an array of the emulated GPU."""
    kind, number = array.__dlpack_device__()
    return int(kind), int(number)


def is_borrowed(array: Array) -> bool:
    """Whether an array lies in memory that another library owns: what it looks into tells."""
    if not isinstance(array, np.ndarray):  # CuPy's; its own pools have other classes
        return type(getattr(array.data, "mem", None)).__name__ in ("DLPackMemory", "UnownedMemory")
    owner = array.base
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner is not None and (hasattr(owner, "__dlpack__") or type(owner).__name__ == "PyCapsule")


def _capsule(array, stream, max_version):
    """What the array library makes for the other one."""
    if max_version is not None:
        try:
            return array.__dlpack__(stream=stream, max_version=max_version)
        except TypeError:  # NumPy 2.0 knows no versions
            pass
    return array.__dlpack__(stream=stream)


def _cupy():
    import cupy  # an optional package: there is an array on a GPU

    return cupy
