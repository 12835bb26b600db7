"""How this tier's loops are compiled: by Numba, at the first call with a kind of arrays, and kept on disk.

``nogil`` lets several Python threads run them at once. No ``fastmath``: it may assume that there are no NaNs, and it
changes the order of sums. ``error_model="numpy"`` divides as NumPy does (x/0 is inf), without a test in the loop.

A kernel takes C-contiguous, writeable arrays only: each other kind would be compiled again (``layout.py`` sees to it).
"""

import functools
import hashlib
from pathlib import Path

import numba
from numba.core import event

from minicnn.console import complain


class _Announcement(event.Listener):
    """Says once that compiling has begun; what is found in the cache on disk is loaded without a word."""

    said = False
    kept = "later runs find them on disk"

    def on_start(self, event):
        if not self.said and event.data["dispatcher"].py_func.__module__.startswith(__package__):
            self.said = True
            complain(f"minicnn: compiling the processor's kernels, once; {self.kept}")

    def on_end(self, event):
        pass


_announcement = _Announcement()
event.register("numba:compile", _announcement)

_FILES = sorted(Path(__file__).parent.glob("*.py"))
_TEXT = hashlib.sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()


def jit(function=None, **options):
    """``@jit`` or ``@jit(forceinline=True)``. What is on disk is used again while no file of this folder has changed.

    Numba itself would look at the function's own file alone, but the code of what it calls, from other files, is in it.
    """
    if function is None:
        return functools.partial(jit, **options)
    compile = functools.partial(numba.njit, nogil=True, error_model="numpy", **options)
    try:
        dispatcher = compile(cache=True)(function)
    except RuntimeError:  # neither the folder beside the source nor one below the user's home can be written
        _announcement.kept = "nothing is kept, for want of a folder that can be written; NUMBA_CACHE_DIR names one"
        return compile()(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache._cache_file._source_stamp = _TEXT  # there is no public way to say this
    return dispatcher
