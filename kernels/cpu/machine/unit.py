"""Which unit of the processor multiplies: the best that there is, or the one that $MINICNN_CPU names.

    amx          tiles of 16 rows x 64 bytes, multiplied as a whole (Intel, from Sapphire Rapids on)
    avx512bf16   64-byte vectors, and an instruction for pairs of bfloat16 numbers (AMD, from Zen 4 on; some of Intel's)
    avx512       64-byte vectors of float32
    avx2         32-byte vectors of float32
    baseline     16-byte vectors of float32: what every processor has (SSE2, NEON)

Each processor with one of the first four has those below it, too. float32 is multiplied by vectors in any case; so to
name "avx2" where there is more means shorter vectors. The loops whose vectors LLVM finds by itself have the processor's
best: they are no products.

Tiles are 8 KB of registers more for the system to save at each switch of threads, and Linux gives them only to a
process that asks: once, before its first tile, by a system call. It may refuse, as may a container's filter of system
calls; where nobody named "amx", the next unit is then taken.
"""

import ctypes
import errno
import functools
import os
import platform
import sys

from numba import config
from numba.core.codegen import get_host_cpu_features

from minicnn.envvars import EnvVarError, one_of

UNITS = {  # from the best down: the features of a processor, by LLVM's names, that each needs
    "amx": ("amx-bf16", "amx-tile", "avx512bw"),
    "avx512bf16": ("avx512bf16", "avx512bw"),
    "avx512": ("avx512f",),
    "avx2": ("avx2",),
    "baseline": (),
}
VECTOR_BYTES = {"avx2": 32, "baseline": 16}  # 64 of the others

_ARCH_PRCTL, _ASK_FOR_STATE, _TILES = 158, 0x1023, 18  # Linux, x86-64: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA


@functools.cache
def unit():
    """Its name. EnvVarError if $MINICNN_CPU names one that is not there, or that the system refuses."""
    name = one_of("MINICNN_CPU", tuple(UNITS))
    there = (each for each in UNITS if why_not(each) is None)  # the best first; the system is asked only if need be
    if name is None:
        return next(there)
    if reason := why_not(name):
        way_out = f"take the variable away, or name what there is: {', '.join(there)}"
        raise EnvVarError(f"MINICNN_CPU={name}: {reason}; {way_out}")
    return name


@functools.cache
def why_not(name):
    """Why unit `name` cannot be used here, as text; None if it can. Asks the system for tiles."""
    missing = [feature for feature in UNITS[name] if feature not in _features()]
    if missing:
        return f"this processor ({platform.machine()}) has no {', '.join(missing)}, or Numba is to leave it alone"
    return _refused() if name == "amx" else None


def _features():
    """What Numba compiles for: what the processor has, unless its settings say otherwise (NUMBA_ENABLE_AVX=0)."""
    text = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return {name[1:] for name in text.split(",") if name.startswith("+")}


def _refused():
    """Why the system gives no tiles to this process, as text; None once it has."""
    if sys.platform != "linux":
        return f"only Linux is asked for tiles, and this is {platform.system()}"
    if error := _ask():
        # tiles are saved on the stack of a signal's handler, which some thread may have chosen too small
        reason = "a stack for signals is too small for them" if error == errno.ENOSPC else os.strerror(error)
        return f"the system refuses its tiles to this process ({reason})"
    return None


def _ask():
    """Ask Linux for tiles, for all threads of the process and those that it forks; 0, or the number of the error."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.syscall(ctypes.c_long(_ARCH_PRCTL), ctypes.c_long(_ASK_FOR_STATE), ctypes.c_ulong(_TILES)) == 0:
        return 0
    return ctypes.get_errno()
