"""Every kernel's time on the large sizes, in float32, and that of a plain copy, which says what memory can do."""

import functools

import numpy as np

from minicnn.device import array_module, to_device

from .cases import Source, arrays_of
from .checking import free, kernel_of
from .clock import Clock, CupyEvents, NoClock
from .settings import require_kernels
from .sizes import LISTS

SECONDS = 0.2  # for each case
COPY = 1 << 28  # numbers of float32: 1 GiB, read and written


def items(settings, language):
    """(name, function) of each measurement; the functions return {"ms": [...], "bytes", "operations", ...}."""
    require_kernels(language)
    clock = NoClock() if settings.emulated else Clock(CupyEvents())
    cases = [case for case in LISTS["tiny" if settings.tiny else "timed"]() if language == "fast" or not case.rung]
    copies = [("copy", functools.partial(copy, clock, 1000 if settings.tiny else COPY))]
    each = [(case.name, functools.partial(measure, clock, case, language)) for case in cases]
    return (copies if language == "fast" else []) + each


def copy(clock, size):
    """A copy from one array into another, by the array library; at most an eighth of the free memory each."""
    library = array_module(to_device(np.zeros(1), "cuda"))
    if library is not np:
        size = min(size, library.cuda.Device().mem_info[0] // 8 // 4)
    source = Source(np.float32, lambda a: to_device(a, "cuda")).normal(size)
    target = library.empty_like(source)
    sampled = clock.samples(lambda: library.copyto(target, source), SECONDS)
    return {**sampled._asdict(), "bytes": 2 * source.nbytes, "operations": 0}


def measure(clock, case, language):
    """The raw times of one case, and what it reads, writes and works out."""
    run = kernel_of(case, language)
    free()  # what the case before took
    arguments = case.make(Source(np.float32, lambda a: to_device(a, "cuda")))
    size = least_bytes(case, arguments, run(*arguments))
    sampled = clock.samples(functools.partial(run, *arguments), SECONDS)
    return {"like": case.like, **sampled._asdict(), "bytes": size, "operations": case.operations}


def least_bytes(case, arguments, result):
    """The fewest that must be moved: each input read once, each result written once."""
    read = arrays_of([a for i, a in enumerate(arguments) if i not in case.unread])
    written = arrays_of([arguments[i] for i in case.written]) if case.written else arrays_of(result)
    return sum({id(a): a.nbytes for a in read}.values()) + sum(a.nbytes for a in written)
