"""CUDA graphs: what a function asks of the GPU, written down once and asked for again by a single call.

A step of a small network is over on the GPU before Python has asked for the next one. A graph takes Python out of it:

    graph = CudaGraph()
    with graph.capturing():
        y = step(x)              # nothing runs; each launch, with its arrays' addresses, becomes a part of the graph
    graph.replay()               # all of it runs, in its order: y has the values for what is in x's memory now

What is written down is fixed: addresses, sizes, numbers. So whatever changes from one replay to the next must lie in
the GPU's memory: x above; the learning rate (kernels/cuda/table.py); how often dropout has drawn (``graph.calls``).
And what is not work of the GPU cannot be captured: a value that the host looks at, a copy from or to the host. Each is
a CaptureError that says what it was. Tables that a kernel needs are written when the capture is over (``upload``).

Arrays made while a graph is captured have memory of its own, which nobody else gets as long as the graph lives. On the
emulated GPU the launches are kept, and the calls of the array library, and all are made again.
Source: CUDA C++ Programming Guide, "CUDA Graphs"
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .capture import CaptureError, Recording, current, recording, refuse_while_capturing
from .device import check_available, current_tier, to_device
from .emulated import emulating, on_device
from .switch import Block
from .tally import Tally
from .tally import _tally as tally_of_thread


class CudaGraph:
    """The launches of one function, in their order (see the top of this file). DeviceError where there is no GPU.

    calls   uint64 (1,) on the GPU; ``write(graph.calls, ...)`` moves dropout on from one replay to the next
    """

    def __init__(self) -> None:
        check_available("cuda")
        self.calls = to_device(np.zeros(1, np.uint64), "cuda")
        self._emulated = emulating()
        self._recording: Recording | None = None
        self._graph: Any = None
        self._launches: list[Callable[[], None]] = []
        if not self._emulated:
            import cupy  # an optional package: the device is there

            self._pool = cupy.cuda.MemoryPool()
            self._stream = cupy.cuda.Stream()  # a capture needs one that is not the default; nothing runs on it

    @contextlib.contextmanager
    def capturing(self) -> Iterator[None]:
        """Around the function: its launches become this graph. CaptureError for what cannot be a part of one; then the
        graph is empty."""
        if recording() is not None:
            raise CaptureError("CudaGraph: a graph is being captured in this thread already; one at a time")
        if current_tier() != "fast":
            raise CaptureError("CudaGraph: kernels in CUDA C++ are captured, Numba's are not: choose tier 'fast'")
        self._graph, self._launches, self._recording = None, [], None
        found = Recording(self.calls, _empty)
        capture = self._emulated_capture() if self._emulated else self._stream_capture()
        with self._own_memory(), Block(current, found), capture:
            yield
        found.finish()
        self._recording = found

    @contextlib.contextmanager
    def renewing(self) -> Iterator[None]:
        """Around ``optimizer.step()`` before a replay. It launches nothing: the numbers of this step (learning rates,
        Adam's corrections) are written to where the captured launch reads them. CaptureError if its arrays are others.
        """
        found = self._captured("renewing")
        found.replayed = True
        with Block(current, found):
            yield

    def replay(self) -> None:
        """Run it, on the current stream. The host does not wait for its end. CaptureError where nothing is captured."""
        self._captured("replay")
        refuse_while_capturing("the replay of another one")
        if self._graph is not None:
            self._graph.launch()
        for launch in self._launches:
            launch()

    def _captured(self, method):
        """The Recording of what is captured; CaptureError if there is none."""
        if self._recording is None:
            raise CaptureError(f"CudaGraph.{method}: nothing is captured; `with graph.capturing(): ...` comes first")
        return self._recording

    @contextlib.contextmanager
    def _own_memory(self):
        if self._emulated:
            yield
            return
        import cupy

        with cupy.cuda.using_allocator(self._pool.malloc), self._stream:
            yield

    @contextlib.contextmanager
    def _emulated_capture(self):
        kept = Kept()
        with Block(tally_of_thread, kept), np.errstate(all="ignore"):  # arrays hold whatever lies in memory
            yield
        self._launches = kept.runs

    @contextlib.contextmanager
    def _stream_capture(self):
        import cupy

        self._stream.begin_capture()
        try:
            yield
            self._graph = self._stream.end_capture()  # an error, too, if one of the calls has broken the capture
        except BaseException as error:  # Ctrl-C as well: what was begun must end, whatever state it is in
            with contextlib.suppress(Exception):
                self._stream.end_capture()
            refused = isinstance(error, RuntimeError) and "is capturing" in str(error)  # by CuPy itself
            if refused or isinstance(error, cupy.cuda.runtime.CUDARuntimeError):
                raise CaptureError(f"CudaGraph: this cannot be captured: {error}") from error
            raise


class Kept(Tally):
    """What the emulated GPU is asked for within a capture: `runs` ask for it again."""

    def __init__(self) -> None:
        super().__init__(execute=False)
        self.runs: list[Callable[[], Any]] = []

    def launched(self, kernel: str, run: Callable[[], None]) -> None:
        self.runs.append(run)

    def computed(self, function: str, again: Callable[[], Any] | None, result: Any = None) -> None:
        if again is None:
            refuse_while_capturing(f"a copy of an array on the emulated GPU ({function})")
        super().computed(function, again, result)
        self.runs.append(functools.partial(_compute_again, again, result))

    def copied_to_host(self, size: int) -> None:
        refuse_while_capturing("a value that the host looks at")


def _compute_again(again, result):
    """``again()``, to where its result lies."""
    found = again()
    if result is not None and found is not result:
        several = isinstance(result, (list, tuple))
        for new, old in zip(found if several else [found], result if several else [result], strict=True):
            old.view(np.ndarray)[...] = new


def _empty(shape, dtype):
    if emulating():
        return on_device(np.empty(shape, dtype))
    import cupy

    return cupy.empty(shape, dtype)
