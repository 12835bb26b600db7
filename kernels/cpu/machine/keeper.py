"""What keeps a core awake (awake.py): a compiled loop that looks at the clock, and never comes back.

A thread of the lowest priority must not hold the interpreter's lock: put aside as it is for any other thread, it would
have everybody wait for it. So it is here, in compiled code, that the priority is lowered, and from then on the thread
does not go back to Python; it sleeps in the system's read() of an event.
"""

import platform
import time

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import jit

MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 1)  # the system's number of that clock
PAUSES = {  # the instruction that leaves a core, for a moment, to the other thread of the same core
    "x86_64": ("llvm.x86.sse2.pause", []),
    "aarch64": ("llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]),
}

clock_gettime = types.ExternalFunction("clock_gettime", types.intc(types.intc, types.voidptr))
read = types.ExternalFunction("read", types.intp(types.intc, types.voidptr, types.uintp))
_sched_setscheduler = types.ExternalFunction("sched_setscheduler", types.intc(types.intc, types.intc, types.voidptr))


@intrinsic
def pause(context):
    def emit(context, builder, signature, arguments):
        if platform.machine() in PAUSES:
            name, values = PAUSES[platform.machine()]
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
        return context.get_dummy_value()

    return types.none(), emit


@jit
def keep(work, asleep, event, lowest, quiet, longest):
    """Give this thread the `lowest` priority; sleep until `event`, stay awake while there is work, and so on.

    work: [how much there is now, how often that has changed]; asleep: [whether this one is], for whoever wakes it.
    """
    priority, word, clock = np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(2, np.int64)
    if _sched_setscheduler(0, lowest, priority.ctypes) != 0:
        return  # that is not allowed here
    while read(event, word.ctypes, 8) == 8:  # asleep until someone writes to it
        changes, last, now = -1, 0, 0  # as seen last, when that was, the time
        while now - last <= (longest if work[0] > 0 else quiet):
            for _ in range(16):  # between two looks at the clock
                pause()
            clock_gettime(MONOTONIC, clock.ctypes)
            now = clock[0] * 1_000_000_000 + clock[1]  # nanoseconds
            if work[1] != changes:
                changes, last = work[1], now
        asleep[0] = 1


def compile(*arguments):
    """Compile keep() for such arguments, or find it on disk."""
    keep.compile(tuple(map(numba.typeof, arguments)))
