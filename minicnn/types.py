"""The types that signatures speak of: for editors and type checkers; a running program checks none of them."""

from typing import Any, TypeAlias

from numpy.typing import DTypeLike, NDArray

__all__ = ["Array", "DTypeLike", "Shape", "Size"]

Array: TypeAlias = NDArray[Any]  # NumPy's, or CuPy's on the GPU, which has the same interface; the device tells which
Shape: TypeAlias = tuple[int, ...]
Size: TypeAlias = int | tuple[int, int]  # of a window, a stride, a padding: one number for both, or (height, width)
