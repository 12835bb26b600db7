"""What Python and NumPy may ask of a Tensor: its length, a number, text, an array, a copy in a file.

All of them answer with values, outside the graph.
"""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ..device import device_of, host_array, plain_array, to_device
from ..dlpack import device_numbers, lend
from ..precision import wide
from ..types import Array, DTypeLike
from ..variable import FLOATS, Variable, Version, holds_gradients, is_float


class ArrayProtocols(Variable):
    """A Variable that behaves as an array does beside Python's numbers and NumPy's functions."""

    __getitem__: Any  # Tensor's
    __array_ufunc__ = None  # np_array * tensor: NumPy leaves it to the Tensor; np.exp(tensor) is an error

    # Its values

    def numpy(self) -> Array:
        """The values as a NumPy array: the tensor's own memory on the processor, a copy from the GPU. Of
        bfloat16, which NumPy does not have, a copy in float32."""
        return wide(to_device(self.data, "cpu"))

    def item(self) -> Any:
        """The one number it holds, as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item() of a Tensor of shape {self.data.shape}: only one with a single value is a number")
        return self.numpy().item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; without axes, a number."""
        return self.numpy().tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """np.mean(tensor), np.stack([tensor, ...]): NumPy's result, of the values."""
        if function in (np.shape, np.ndim):  # these need no values from the GPU
            return function(self.data)
        if isinstance(kwargs.get("out"), Variable):
            raise TypeError(f"np.{function.__name__}: out= would write into a Tensor unseen; assign to tensor[...]")
        return function(*_values(args), **_values(kwargs))

    # Its memory, for another library (dlpack.py)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        return lend(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return device_numbers(self.data)

    # A sequence

    def __len__(self) -> int:
        if self.data.ndim == 0:
            raise TypeError("a Tensor without axes has no length")
        return self.data.shape[0]

    def __iter__(self) -> Iterator[Self]:
        if self.data.ndim == 0:
            raise TypeError("a Tensor without axes cannot be iterated over; .item() is its number")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self.numpy() == host_array(_values(value))).any())

    # A number

    def __bool__(self) -> bool:
        if self.data.size != 1:
            what = f"a Tensor of shape {self.data.shape} is neither true nor false"
            raise ValueError(f"{what}; only one with a single value is")
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __round__(self, ndigits: int | None = None) -> Any:
        return round(self.item(), ndigits)

    def __index__(self) -> int:
        """names[tensor], range(tensor): of one integer without axes, as NumPy's."""
        if self.data.ndim or self.data.dtype.kind not in "iu":
            found = f"shape {self.data.shape} and dtype {self.data.dtype}; .item() or .numpy() gives what it holds"
            raise TypeError(f"only a Tensor of one integer, without axes, can be an index; this one has {found}")
        return int(self.item())

    # Text

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=100)
        origin = f", node={type(self.node).__name__}" if self.node else ""
        grad = ", requires_grad=True" if self.requires_grad and not self.node else origin
        device = device_of(self.data)
        place = "" if device == "cpu" else f", device={device!r}"
        return f"Tensor({values}, dtype={self.data.dtype}{place}{grad})"

    def __format__(self, spec: str) -> str:
        if not spec and self.data.ndim:
            return str(self)
        if self.data.size != 1:
            this = f"this Tensor has shape {self.data.shape}, and only one with a single value is a number"
            raise TypeError(f"the format {spec!r} is for numbers; {this}")
        return format(self.item(), spec)

    # A copy in a file, or by copy.deepcopy

    def __getstate__(self) -> dict[str, Any]:
        """The values, without hooks, and without the graph of a result: that would be all arrays of the network."""
        requires_grad = self.requires_grad and self.node is None
        none: dict[str, Any] = {"version": None, "node": None, "_retains_grad": False, "grad_hooks": {}}
        return {**self.__dict__, **none, "_requires_grad": requires_grad}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, version=Version())

    def __copy__(self) -> Self:
        """The same memory outside the graph: what is written into one has changed the other."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__getstate__(), version=self.version)
        return copy


def tensor_data(data: Any) -> Array:
    """The array of a new Tensor: `data` itself where it is an array of a dtype that Tensors hold."""
    if type(data) is np.ndarray and data.dtype in FLOATS:  # the usual case first: what an op has made
        return data
    if isinstance(data, Variable):
        raise TypeError("Tensor(...) of a Tensor; use .detach() for the same memory outside the graph")
    if holds_gradients(data):
        raise TypeError("Tensor(...) of a list of Tensors that need a gradient would cut the graph; use minicnn.stack")
    from_numbers = not hasattr(data, "dtype")
    array = plain_array(data)
    if from_numbers and array.dtype.kind == "f":
        array = array.astype(np.float32)
    if array.dtype.kind not in "iub" and not is_float(array.dtype):
        what = f"a Tensor holds float32, float64, bfloat16, integers or booleans, not {array.dtype}"
        raise TypeError(f"{what}; convert it first")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _values(value):
    """`value` with NumPy arrays where Tensors are, in lists, tuples and dicts too."""
    if isinstance(value, ArrayProtocols):
        return value.numpy()
    if isinstance(value, (list, tuple)):
        return type(value)([_values(part) for part in value])
    if isinstance(value, dict):
        return {key: _values(part) for key, part in value.items()}
    return value
