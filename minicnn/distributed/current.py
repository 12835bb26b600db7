"""world(): the ranks that this process belongs to."""

import functools

from .launch import launch
from .mpi import Ranks
from .ranks import World


@functools.cache
def world() -> World:
    """The processes that this one trains with: those of its mpiexec, or itself alone, for which no MPI is imported.

    RuntimeError where there are several and mpi4py is missing, or belongs to another MPI than the mpiexec."""
    started = launch()
    return World() if started is None or started.size == 1 else Ranks(started)
