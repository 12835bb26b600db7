"""How this tier's loops are compiled: by Numba, at the first call with a kind of arrays, and kept on disk.

``nogil`` lets several Python threads run them at once. No ``fastmath``: it may assume that there are no NaNs, and it
changes the order of sums. ``error_model="numpy"`` divides as NumPy does (x/0 is inf), without a test in the loop.

A kernel takes C-contiguous, writeable arrays only: each other kind would be compiled again (``layout.py`` sees to it).
"""

import functools
import pickle
import platform
import sys
from importlib import resources
from pathlib import Path

import llvmlite
import numba
import numpy
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name
from numba.core import caching, event
from numba.core.serialize import dumps

from minicnn.cache import cache_dir
from minicnn.console import complain
from minicnn.device import DeviceError
from minicnn.kernels import compiled

from .unit import unit

if numba.config.DISABLE_JIT:
    raise DeviceError(
        "NUMBA_DISABLE_JIT=1: the fast tier of device 'cpu' is compiled code, not all of which Python can run; take "
        "the variable away, or choose tier 'plain' (minicnn.set_tier, --tier plain)"
    )

PACKAGE = __package__.rpartition(".")[0]  # minicnn.kernels.cpu
# of Numba's settings, those that change what it compiles
SETTINGS = ["OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK"]
SETTINGS += ["DEBUGINFO_DEFAULT", "ENABLE_AVX", "DISABLE_INTEL_SVML"]


def _stamp():
    """What all compiled code depends on: the text of kernels/cpu, versions, processor, its unit and settings.

    Numba itself would look at the function's own file alone, but the code of what it calls, from other files, is in it.
    """
    texts = [file.read_bytes() for file in _files(resources.files(PACKAGE)) if file.name.endswith((".py", ".pyc"))]
    versions = platform.python_version(), numba.__version__, llvmlite.__version__, numpy.__version__, sys.flags.optimize
    machine = platform.machine(), get_host_cpu_name(), get_host_cpu_features().flatten(), unit()
    settings = [(name, getattr(numba.config, name, None)) for name in SETTINGS]
    return compiled.digest(repr((versions, machine, settings)).encode(), *texts).hex()[:20]


def _files(folder):
    """The files of a folder and its rooms, in the order of their names."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_file():
            yield entry
        elif entry.name != "__pycache__":
            yield from _files(entry)


def _folder():
    """(where compiled code is kept, or None; what is to be said about that)."""
    try:
        root = Path(numba.config.CACHE_DIR) if numba.config.CACHE_DIR else cache_dir()
        return compiled.private_folder(root / "cpu") / _stamp(), compiled.KEPT
    except OSError as error:
        return None, f"nothing is kept: {error}"


class _Listener(event.Listener):
    """Is told by Numba of each function that it compiles; what is found on disk is loaded without a word."""

    announce = compiled.Announcement()

    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        if _is_ours(function):
            self.announce(f"compiling the processor's kernels: some 20 s; {_said}", function.__name__)

    def on_end(self, event):
        pass


event.register("numba:compile", _Listener())
FOLDER, _said = _folder()
if FOLDER:
    compiled.used(FOLDER)


class _Parts(caching.CompileResultCacheImpl):
    """A compiled function as what can be kept, and back; Numba's own class would look for a folder first."""

    def __init__(self):
        pass


_PARTS = _Parts()


class Kept(caching.NullCache):
    """What has been compiled of a function, on disk: a file for each kind of arguments."""

    refused = False  # whether the disk took no more

    def __init__(self, function):
        self.function = function

    @property
    def cache_path(self):
        """The folder, for Numba's statistics."""
        return str(FOLDER)

    def load_overload(self, signature, context):
        """The function for such arguments; None if it must be compiled."""
        context.refresh()
        found = compiled.read(self._path(signature, context.codegen()))
        return None if found is None else _PARTS.rebuild(context, pickle.loads(found))

    def save_overload(self, signature, result):
        """Keep a function that has just been compiled for such arguments."""
        if Kept.refused:  # one complaint is enough
            return
        try:
            if not FOLDER.exists():
                FOLDER.mkdir(0o700, exist_ok=True)
                compiled.sweep(FOLDER.parent)
            compiled.write(self._path(signature, result.codegen), dumps(_PARTS.reduce(result)))
        except OSError as error:
            Kept.refused = True
            complain(f"minicnn: compiled code cannot be kept in {FOLDER}: {error.strerror}")

    def _path(self, signature, codegen):
        name = f"{self.function.__module__}.{self.function.__qualname__}"
        kind = repr((name, signature, codegen.magic_tuple())).encode()
        digest = compiled.digest(kind, self.function.__code__.co_code).hex()[:16]
        return FOLDER / f"{name.rpartition('cpu.')[2]}-{digest}"


def _is_ours(function):
    """Whether it stands in kernels/cpu, whose text the stamp covers."""
    return function.__module__.startswith(f"{PACKAGE}.")


def jit(function=None, keep=True, **options):
    """``@jit`` or ``@jit(forceinline=True)``. What stands elsewhere, in a notebook say, is compiled by each process.

    keep: whether it is to be found on disk; not where other functions are among its arguments, which have no name there
    """
    if function is None:
        return functools.partial(jit, keep=keep, **options)
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if FOLDER and keep and _is_ours(function):
        dispatcher._cache = Kept(function)  # there is no public way to say this
    return dispatcher
