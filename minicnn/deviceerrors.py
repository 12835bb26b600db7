"""What goes wrong with a device: it is not there, a kernel fails on it, its memory is full; named when it is found."""


class DeviceError(RuntimeError):
    """A device that is not there, or an op without an implementation on it."""


class KernelError(RuntimeError):
    """A kernel that does not compile, or that did something forbidden while it ran."""


class OutOfMemoryError(MemoryError):
    """An op that asked for more memory than its device has left."""


class naming_memory_errors:
    """``with naming_memory_errors("Conv2d"): ...`` turns a MemoryError into one that names the op.

    Both array libraries say how many bytes they were asked for. What the op had allocated is free again.
    """

    __slots__ = ("_op",)

    def __init__(self, op: str) -> None:
        self._op = op

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback):
        if isinstance(error, MemoryError) and not isinstance(error, OutOfMemoryError):  # else an op inside has named it
            advice = "use a smaller batch or smaller pictures, and no_grad() where no gradients are needed"
            raise OutOfMemoryError(f"{self._op}: {error}; {advice}") from None


class naming_gpu_errors:
    """``with naming_gpu_errors(): ...`` turns CuPy's error when the host waits for the GPU into a KernelError: some
    kernel launched before has done something forbidden, and it says how to learn which."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback):
        if kind is not None and kind.__name__ in ("CUDARuntimeError", "CUDADriverError"):
            raise KernelError(
                f"a kernel has failed on the GPU before its values could be copied: {error}; with MINICNN_SYNC=1 each "
                "kernel is waited for, and the error names the one that failed"
            ) from None
