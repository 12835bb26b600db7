"""What a thread captures as a CUDA graph now (``cudagraph.py``): for those who add to it, and those who must not."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .switch import PerThread
from .types import Array


class CaptureError(RuntimeError):
    """Something that cannot be part of a CUDA graph."""


class Recording:
    """What belongs to a graph besides its launches.

    calls     uint64 (1,) on the GPU: what dropout adds to the number of each of its calls
    replayed  False while the graph is captured; True where only numbers are renewed that its launches read
    """

    def __init__(self, calls: Array, new_array: Callable[[Any, Any], Array]) -> None:
        self.calls, self._new_array = calls, new_array
        self.replayed = False
        self._later: list[tuple[Array, Array]] = []  # (array on the GPU, its values), to be written behind the capture
        self._kept: dict[Any, Any] = {}

    def upload(self, values: Array) -> Array:
        """An array on the GPU that will have these values when the graph runs."""
        table = self._new_array(values.shape, values.dtype)
        self.write(table, values)
        return table

    def write(self, array: Array, values: Array) -> None:
        """Values into an array on the GPU before the graph runs next."""
        if self.replayed:
            write(array, values)
        else:
            self._later.append((array, values))

    def finish(self) -> None:
        """The capture is over: what was to be written behind it."""
        for array, values in self._later:
            write(array, values)
        self._later = []

    def once(self, name: Any, key: Any, make: Callable[[], Any]) -> Any:
        """What the graph keeps for `name` and `key`: ``make()``, the first time."""
        if (name, key) not in self._kept:
            if self.replayed:
                what = f"CudaGraph: {name} works on other arrays than those that were captured"
                raise CaptureError(f"{what}; capture the function anew")
            self._kept[name, key] = make()
        return self._kept[name, key]


def write(array: Any, values: Any) -> None:
    """Values from the host into an array on the GPU, where it lies. The host waits for nothing."""
    values = np.ascontiguousarray(values, array.dtype).reshape(array.shape)
    if isinstance(array, np.ndarray):  # an emulated one
        array.view(np.ndarray)[...] = values
        return
    import cupy  # an optional package: it is an array of CuPy's

    array.set(values, stream=cupy.cuda.get_current_stream())  # without a stream the host would wait for the GPU first


current = PerThread(None)  # the Recording, within ``CudaGraph.capturing`` and ``renewing``


def recording() -> Recording | None:
    """The graph that this thread captures, or renews the numbers of; None: what it asks for runs at once."""
    return current.value


def refuse_while_capturing(what: str) -> None:
    """CaptureError for `what`, such as "a copy to the host", if this thread captures a graph."""
    if current.value is not None:
        raise CaptureError(f"CudaGraph: {what} cannot be part of a graph; do it before or behind the captured function")
