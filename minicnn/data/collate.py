"""Items -> a batch: what the items of a data set are stacked into, and how that becomes Tensors.

An item is an array, a number, a PIL image, or a tuple or dict of such; a batch has the form of an item.

    stack         items -> arrays with one more axis, the first
    to_tensors    arrays -> Tensors, ready for model(images) and F.cross_entropy(scores, labels):

        a Tensor                                   as it is
        uint8 of three axes or more, (C, H, W)     pictures: float32, by `normalize`
        whole numbers, one for each item           labels: int64
        another array                              in its own dtype

A list of Python floats becomes float32, as Tensor([...]) does; PyTorch makes float64 of it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..device import array_module, plain_array
from ..tensor import Tensor
from ..types import Array
from ..variable import FLOATS
from .transform import to_array

ONE_SHAPE = "give all items one shape and dtype, by a crop for instance, or collate_fn="
Name = Callable[[int], str]  # of the i-th item of a batch, for messages


def stack(items: Sequence[Any], name: Name) -> Any:
    """The batch of `items`: a tuple or dict like an item, its leaves arrays or Tensors (N, ...).

    Raises TypeError for what cannot be in a batch, ValueError for items of different forms, shapes or dtypes.
    """
    first = items[0]
    _check_same([_form(item) for item in items], name, "give all items one form")
    if isinstance(first, dict):
        return {key: stack([item[key] for item in items], _part(name, key)) for key in first}
    if isinstance(first, (tuple, list)):
        parts = [stack(column, _part(name, i)) for i, column in enumerate(zip(*items, strict=True))]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    stacked = stack_arrays([_array(item, name, i) for i, item in enumerate(items)], name)
    return Tensor(stacked) if isinstance(first, Tensor) else stacked


def stack_arrays(arrays: Sequence[Array], name: Name, advice: str = ONE_SHAPE) -> Array:
    """Arrays of one shape and dtype -> one more axis, the first. advice: the way out, if they differ."""
    _check_same([array.shape for array in arrays], name, advice)
    _check_same([array.dtype for array in arrays], name, advice)
    return array_module(arrays[0]).stack(arrays)


def to_tensors(batch: Any, normalize: Callable[[Array], Array]) -> Any:
    """The batch with Tensors where arrays are; normalize: uint8 (N, C, H, W) -> float32."""
    if isinstance(batch, dict):
        return {key: to_tensors(part, normalize) for key, part in batch.items()}
    if isinstance(batch, tuple):
        parts = [to_tensors(part, normalize) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    if isinstance(batch, Tensor):
        return batch
    if batch.dtype == np.uint8 and batch.ndim >= 4:
        return Tensor(normalize(batch))
    return Tensor(as_labels(batch))


def as_labels(array: Array) -> Array:
    """Whole numbers, one for each item, as int64; any other array as it is. ValueError for one that int64 has not."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        return array
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(
            f"DataLoader: {array.max()} is no label: it does not fit into int64; number the classes from 0"
        )
    return array.astype(np.int64)


def named_array(value: Any, name: str, make: Callable[[Any], Array] = plain_array) -> Array:
    """``make(value)``; where that is refused, by another library too, the TypeError begins with the name."""
    try:
        return make(value)
    except (TypeError, RuntimeError) as error:  # PyTorch's of a Tensor that requires a gradient is a RuntimeError
        raise TypeError(f"{name}: {error}") from error


def check_dtype(array: Array, name: str) -> None:
    """TypeError unless Tensors hold this dtype."""
    if array.dtype.kind not in "iub" and array.dtype not in FLOATS:
        way_out = "convert it: .astype(np.float32)" if array.dtype.kind == "f" else "make numbers of it"
        what = f"{name} is of {array.dtype}, and a Tensor holds float32, float64, integers or booleans"
        raise TypeError(f"{what}; {way_out}")


def _array(value, name_of, i):
    """The array of a leaf, `value`, of the i-th item."""
    if isinstance(value, (int, float)) and not isinstance(value, np.generic):  # Python's: np.float64 is a float, too
        return np.asarray(value, np.float32 if isinstance(value, float) else None)
    name = name_of(i)
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise TypeError(f"DataLoader: {name} requires a gradient, which would not come back to it; .detach() it")
        return value.data
    if hasattr(value, "getbands"):  # a PIL image
        array = named_array(value, f"DataLoader: {name}", to_array)
    elif hasattr(value, "__array__"):  # NumPy's numbers, too
        array = named_array(value, f"DataLoader: {name}")
    else:
        what = f"{value!r:.40}" if value is None or isinstance(value, (str, bytes)) else f"a {type(value).__name__}"
        way_out = "leave it out of the item, make numbers of it, or give collate_fn="
        raise TypeError(f"DataLoader: {name} is {what}, and a batch holds arrays, numbers and pictures; {way_out}")
    check_dtype(array, f"DataLoader: {name}")
    return array


def _part(name, key):
    return lambda i: f"{name(i)}[{key!r}]"


def _form(item):
    if isinstance(item, dict):
        return f"a dict of {', '.join(sorted(map(repr, item)))}"  # whatever their order
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(item)}"
    return "a Tensor" if isinstance(item, Tensor) else "an array, a number or a picture"


def _check_same(kinds, name, advice):
    """ValueError that names two items unless all are of one kind."""
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            both = f"{name(0)} is {_shown(kinds[0])} and {name(i)} is {_shown(kind)}"
            raise ValueError(f"DataLoader: {both}, which do not go into one batch; {advice}")


def _shown(kind):
    return kind if isinstance(kind, str) else f"of {'shape ' * isinstance(kind, tuple)}{kind}"
