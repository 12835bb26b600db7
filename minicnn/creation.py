"""New Tensors by PyTorch's names: ``minicnn.zeros(2, 3)``, ``minicnn.randn(2, 3)``, ``minicnn.tensor([1, 2])``.

    dtype          one of ``minicnn.float32``, ``float64``, ``int64`` ... or NumPy's; without it as the text says
    device         "cpu" or "cuda"
    requires_grad  whether ``backward()`` shall leave a gradient
    size           numbers, ``zeros(2, 3)``, or one tuple or list of them, ``zeros((2, 3))``

Random numbers come from the stream that initial weights are drawn from (``random.py``): ``manual_seed`` starts it, and
checkpoints hold its state. All raise TypeError or ValueError for a size, a dtype or a device that cannot be.
"""

import math
import numbers
from typing import Any

import numpy as np

from .device import device_of, plain_array, to_device
from .dlpack import borrow
from .dtypes import checked_dtype, float32, int64
from .ops.arguments import check_tensors
from .precision import BFLOAT16
from .random import init_generator
from .settings import kind_of, real, whole
from .tensor import Tensor
from .types import Array, DTypeLike, Shape
from .variable import FLOATS, Variable, holds_gradients, is_float

MOST = np.iinfo(np.int64).max


def tensor(
    data: Any, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A copy of `data`: a number, nested lists, an array or a Tensor outside the graph, where that is unless `device`.

    Without dtype: Python's floats become float32, whole numbers int64; arrays and Tensors keep theirs.
    """
    return _finished("tensor", _values("tensor", data, dtype).copy(), device, requires_grad)


def as_tensor(data: Any, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """As ``tensor``, but a Tensor that fits is returned itself, and an array that fits is shared."""
    if isinstance(data, Tensor):
        kept = data if dtype is None else data.to(dtype=dtype)
        return kept if device is None else kept.to(device)
    return _finished("as_tensor", _values("as_tensor", data, dtype), device, False)


def from_numpy(array: Array) -> Tensor:
    """A Tensor in the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: takes a NumPy array, not a {kind_of(array)}; minicnn.tensor takes others")
    return Tensor(array)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor in the memory of another library's array (PyTorch's, JAX's, NumPy's, CuPy's), which stays there as long
    as the Tensor does. JAX's can only be read. TypeError or BufferError for what cannot be shared."""
    return Tensor(borrow(array))


# One value everywhere


def zeros(*size: Any, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """All 0."""
    return _filled("zeros", size, 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """All 1."""
    return _filled("ones", size, 1, dtype, device, requires_grad)


def empty(*size: Any, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Numbers that nobody has set, to be written over."""
    array = np.empty(_size("empty", size), checked_dtype("empty", dtype))
    return _finished("empty", array, device, requires_grad)


def full(
    size: Any,
    fill_value: float,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """All `fill_value`; without dtype float32 for a float, int64 for a whole number, bool for True and False."""
    if not isinstance(fill_value, (numbers.Real, np.bool_)):
        raise TypeError(f"full: fill_value must be a number, not a {type(fill_value).__name__}")
    dtype = _natural(fill_value) if dtype is None else dtype
    return _filled("full", (size,), fill_value, dtype, device, requires_grad)


def zeros_like(
    input: Tensor, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """All 0, of the shape of `input`, and of its dtype and on its device unless they are given."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(
    input: Tensor, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """All 1, of the shape, the dtype and on the device of `input`."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_like(
    input: Tensor, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Numbers that nobody has set, of the shape, the dtype and on the device of `input`."""
    dtype, device = _as_of("empty_like", input, dtype, device)
    return empty(input.shape, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: float, *, dtype: DTypeLike | None = None, device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """All `fill_value`, of the shape, the dtype and on the device of `input`."""
    dtype, device = _as_of("full_like", input, dtype, device)
    return full(input.shape, fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


# Regular ones


def arange(
    start: float, end: float | None = None, step: float = 1, *,
    dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... before `end`; ``arange(end)`` begins at 0. int64 of whole numbers, else float32."""
    start, end = (0, start) if end is None else (start, end)
    for name, value in (("start", start), ("end", end), ("step", step)):
        real("arange", name, value)  # a finite number
    if step == 0 or (end - start) / step < 0:
        raise ValueError(f"arange: from {start} a step of {step} does not lead to {end}")
    whole_numbers = all(isinstance(value, numbers.Integral) for value in (start, end, step))
    found = checked_dtype("arange", dtype or (int64 if whole_numbers else float32))
    if whole_numbers:  # as NumPy works with them; of larger ones it makes nothing at all
        _check_fit("arange", (start, end, step), int64)
    array = np.arange(start, end, step)  # float64, if one of them is
    _check_fit("arange", array[[0, -1]].tolist() if array.size else (), found)
    return _finished("arange", array.astype(found), device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: DTypeLike = float32, device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    start, end = real("linspace", "start", start), real("linspace", "end", end)
    array = np.linspace(start, end, whole("linspace", "steps", steps, 0))
    return _finished("linspace", array.astype(checked_dtype("linspace", dtype)), device, requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """(n, m), or (n, n): 1 on the diagonal, else 0. ``eye(C)[labels]`` are labels as rows with a single 1."""
    n, m = whole("eye", "n", n, 0), None if m is None else whole("eye", "m", m, 0)
    return _finished("eye", np.eye(n, m, dtype=checked_dtype("eye", dtype)), device, requires_grad)


# Random ones


def rand(*size: Any, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1)."""
    array = init_generator().random(_size("rand", size), _float("rand", dtype))
    return _finished("rand", array, device, requires_grad)


def randn(*size: Any, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers of mean 0 and variance 1."""
    array = init_generator().standard_normal(_size("randn", size), _float("randn", dtype))
    return _finished("randn", array, device, requires_grad)


def rand_like(
    input: Tensor, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1), of the shape, the dtype and on the device of `input`."""
    dtype, device = _as_of("rand_like", input, dtype, device)
    return rand(input.shape, dtype=dtype, device=device, requires_grad=requires_grad)


def randn_like(
    input: Tensor, *, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Normal numbers of mean 0 and variance 1, of the shape, the dtype and on the device of `input`."""
    dtype, device = _as_of("randn_like", input, dtype, device)
    return randn(input.shape, dtype=dtype, device=device, requires_grad=requires_grad)


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: DTypeLike = int64, device: str | None = None
) -> Tensor:
    """Whole numbers from `low` to `high` - 1, ``randint(0, 10, (2, 3))``; ``randint(10, (2, 3))`` begins at 0."""
    if size is None:  # (high, size)
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    low, high = (whole("randint", name, value, -MOST, MOST) for name, value in (("low", low), ("high", high)))
    if low >= high:
        raise ValueError(f"randint: low {low} must be below high {high}")
    found = checked_dtype("randint", dtype)
    _check_fit("randint", (low, high - 1), found)
    array = init_generator().integers(low, high, _size("randint", (size,)))
    return _finished("randint", array.astype(found), device, False)


def randperm(n: int, *, device: str | None = None) -> Tensor:
    """0 to n - 1 in a random order, int64."""
    return _finished("randperm", init_generator().permutation(whole("randperm", "n", n, 0)), device, False)


# What they have in common


def _values(op, data, dtype):
    """The array of `data`, of that dtype or of the natural one."""
    if holds_gradients(data):
        way_out = ".detach() gives the values, minicnn.stack puts Tensors together"
        raise TypeError(f"{op}: data requires a gradient, which would not come back to it; {way_out}")
    array = data.data if isinstance(data, Variable) else plain_array(data)
    if array.dtype.kind not in "fiub" and array.dtype != BFLOAT16:
        what = f"a {type(data).__name__}" if array.dtype.kind in "OU" else f"of dtype {array.dtype}"
        raise TypeError(f"{op}: data must be numbers, in lists or an array, and is {what}")
    if dtype is None and array.dtype.kind == "f" and not hasattr(data, "dtype"):
        dtype = float32  # Python's own numbers
    if dtype is None:
        return array
    found = checked_dtype(op, dtype)
    if found.kind in "iu" and not hasattr(data, "dtype") and array.size:  # an array is cast as NumPy does
        _check_fit(op, (array.min().item(), array.max().item()), found)
    return array.astype(found, copy=False)


def _size(op, size) -> Shape:
    """(2, 3) of what is given as 2, 3 or as (2, 3)."""
    given = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not given and given is size and op != "full":  # zeros() itself: PyTorch has it neither
        raise TypeError(f"{op}: give a size: {op}(2, 3); {op}(()) is a single number")
    return tuple(whole(op, "a length of size", n, 0) for n in given)


def _natural(value):
    """The dtype of a number that nobody has named one for."""
    if isinstance(value, (bool, np.bool_)):
        return np.bool_
    return int64 if isinstance(value, numbers.Integral) else float32


def _float(op, dtype):
    found = checked_dtype(op, dtype)
    if found not in FLOATS:
        raise TypeError(f"{op}: dtype must be float32 or float64, not {found}; minicnn.randint draws whole numbers")
    return found


def _as_of(op, input, dtype, device):
    check_tensors(op, {"input": input})
    return input.dtype if dtype is None else dtype, device_of(input.data) if device is None else device


def _filled(op, size, value, dtype, device, requires_grad):
    found = checked_dtype(op, dtype)
    _check_fit(op, (value,), found)
    return _finished(op, np.full(_size(op, size), value, found), device, requires_grad)


def _check_fit(op, values, dtype):
    """ValueError for a number that would become another one, or infinite, in this dtype."""
    for value in values:
        if is_float(dtype):
            largest = float(np.finfo(np.float32 if dtype == BFLOAT16 else dtype).max)  # bfloat16 has float32's range
            fits = value != value or abs(value) == math.inf or abs(value) <= largest
        else:
            fits = dtype.kind == "b" or np.iinfo(dtype).min <= value <= np.iinfo(dtype).max  # NaN does not
        if not fits:
            raise ValueError(f"{op}: {value} does not fit into {dtype}")


def _finished(op, array, device, requires_grad):
    """The Tensor of that array on the device."""
    return Tensor(array if device is None else to_device(array, device), requires_grad)
