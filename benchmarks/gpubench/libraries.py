"""Our kernels and PyTorch, each with a clock of its own; or why one of them cannot be measured here."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minicnn.device import implementation, to_device
from minicnn.emulated import emulating
from minicnn.ops.activation import relu_forward

from . import clock

COVER_BYTES = 1 << 30


class Unavailable(RuntimeError):
    """Something that a section needs is not there; the message says what."""


def our_kernels(language):
    """A clock for our kernels on device "cuda", "fast" (CUDA C++) or "plain" (Numba CUDA).

    The error says what is missing: a DeviceError where there is no GPU.
    """
    to_device(np.zeros(1, np.float32), "cuda")
    try:
        implementation(relu_forward, "cuda", language)
    except ImportError as error:
        raise Unavailable(f"the kernels of tier {language!r} cannot be imported ({error})") from None
    return clock.NoClock() if emulating() else clock.Clock(cupy_events())


def pytorch():
    """(torch, the device for it, a clock). It tries cuDNN's algorithms first."""
    try:
        import torch  # an optional package
    except ImportError as error:
        raise Unavailable(f"PyTorch, to compare with, cannot be imported ({error})") from None
    torch.backends.cudnn.benchmark = True
    if emulating():
        torch.set_num_threads(1)  # on a few numbers, threads only wait for one another
        return torch, "cpu", clock.NoClock()
    if not torch.cuda.is_available():
        raise Unavailable(f"PyTorch {torch.__version__} finds no GPU")
    return torch, "cuda", clock.Clock(torch_events(torch))


class Events(NamedTuple):
    """What a clock calls of a library, which does it all on its current stream."""

    event: Callable  # () -> one that can be recorded
    elapsed: Callable  # (start, stop) -> milliseconds
    synchronize: Callable
    cover: Callable  # writes much memory, which is taken when it is first called


def cupy_events():
    import cupy  # an optional package

    cuda = cupy.cuda
    memory = functools.cache(lambda: cupy.empty(min(COVER_BYTES, cuda.Device().mem_info[0] // 8), cupy.uint8))
    write = lambda: memory().data.memset_async(1, memory().nbytes)  # noqa: E731
    return Events(cuda.Event, cuda.get_elapsed_time, cuda.Device().synchronize, write)


def torch_events(torch):
    cuda, form = torch.cuda, {"dtype": torch.uint8, "device": "cuda"}
    memory = functools.cache(lambda: torch.empty(min(COVER_BYTES, cuda.mem_get_info()[0] // 8), **form))
    event = functools.partial(cuda.Event, enable_timing=True)
    return Events(event, cuda.Event.elapsed_time, cuda.synchronize, lambda: memory().fill_(1))
