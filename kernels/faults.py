"""A kernel that a GPU has given up: which one was it?

A launch does not wait. What a kernel does wrong on a GPU, reading beyond an array for one, is found when somebody waits
for the GPU, perhaps a hundred launches later, and the error knows no kernel's name. With ``MINICNN_SYNC=1`` each launch
in either language is waited for, which is slow, and the error has the kernel's name and file.
"""

import functools

from minicnn.device import KernelError
from minicnn.envvars import switch

# Errors of CuPy (of the driver, and of the library above it) and of Numba, by name: neither need be installed
ERRORS = ("CUDADriverError", "CUDARuntimeError", "CudaAPIError")
WAY_ON = "run it again with MINICNN_EMULATE_GPU=1, where the emulator names line, block and thread"


@functools.cache
def sync_wanted():
    """Whether $MINICNN_SYNC asks for a wait after each launch; it is read once in a process. EnvVarError."""
    return switch("MINICNN_SYNC", default=False)


def wait():
    """Wait for the kernels launched on CuPy's current stream, unless they are only captured into a graph there."""
    import cupy  # an optional package: whoever launches on a GPU has it

    stream = cupy.cuda.get_current_stream()
    if not stream.is_capturing():
        stream.synchronize()


def named(kernel, error):
    """The KernelError to raise for `error`, which a launch of `kernel` or the wait for it has raised; or `error`, if it
    is none of the GPU's."""
    if type(error).__name__ not in ERRORS:
        return error
    if sync_wanted():
        return KernelError(
            f"{kernel} failed on the GPU: {error}; this process cannot use the GPU any more. To see why, {WAY_ON}"
        )
    return KernelError(
        f"{kernel} cannot be launched: {error}. Where that is a fault, a kernel before it may have made it: with "
        "MINICNN_SYNC=1 each is waited for, and the error names it"
    )
