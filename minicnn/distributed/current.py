"""world(): the ranks that this process belongs to."""

import functools
import sys

from .ending import show_refusal
from .launch import launch
from .mpi import Ranks
from .ranks import World
from .start import LaunchError


@functools.cache
def world() -> World:
    """The processes that this one trains with: those of its mpiexec, or itself alone, for which no MPI is imported.

    LaunchError where there are several and mpi4py is missing, or belongs to another MPI than the mpiexec."""
    started = launch()
    if started is None or started.size == 1:
        return World()
    try:
        return Ranks(started)
    except LaunchError:
        sys.excepthook = show_refusal
        raise
