"""The beginning of several processes: MPI is imported, and it must be the MPI of the mpiexec that has started them.

The wrong mpiexec is the commonest mistake there is, and MPI itself does not tell: under MPICH's, Open MPI's library
takes each process for a run of its own, and n runs would write into one folder; under Open MPI's, MPICH's ends the
process before Python can say anything. So mpi4py is asked whose library it has found before that is initialised.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from ..device import cpu_cores, cpu_threads
from ..signals import handling
from .launch import Launch

BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
# MPICH's ranks ask again and again while they wait; with these, each time they let another process have the core. (Open
# MPI's do that by themselves where ranks are more than cores.)
LEAVE_THE_CORE = ("MPIR_CVAR_POLLS_BEFORE_YIELD", "MPIR_CVAR_ENABLE_HEAVY_YIELD")
INSTALL = "pip install 'minicnn[mpi]'"


class LaunchError(RuntimeError):
    """Several processes were started that cannot find each other; the message says why, and what to type instead."""


def start(started: Launch) -> Any:
    """mpi4py's module MPI, initialised; LaunchError if it does not fit the launcher."""
    times = f"{_launcher(started)} has started {started.size} processes"
    os.environ.setdefault("MPIR_CVAR_SUPPRESS_ABORT_MESSAGE", "1")  # MPICH's line; whoever ends the job says why
    if started.local_size > len(cpu_cores()):
        for name in LEAVE_THE_CORE:
            os.environ.setdefault(name, "1")
    try:
        MPI = _library()
    except ModuleNotFoundError as error:
        raise LaunchError(f"{times}, which need {error.name} to find each other: {INSTALL}") from None
    except (ImportError, RuntimeError) as error:  # mpi4py is there, but no library
        why = str(error).splitlines()[0]
        raise LaunchError(f"{times}, but mpi4py finds no MPI: {why}; {INSTALL}") from None
    library = MPI.get_vendor()[0]
    if not MPI.Is_initialized():
        if started.launcher != "Slurm" and (started.launcher == "Open MPI") != (library == "Open MPI"):
            raise LaunchError(f"{times}, but mpi4py uses {library}: {_way_out(started, library)}")
        with handling(signal.SIG_DFL):  # it waits for the other processes; where one is gone, no handler is called
            MPI.Init_thread()
    rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
    if (rank, size) != (started.rank, started.size):
        found = f"{library} says that this is rank {rank} of {size}, not {started.rank} of {started.size}"
        raise LaunchError(f"{times}, but {found}: {_way_out(started, library)}")
    return MPI


def share_cores() -> None:
    """Give BLAS, which the plain tier computes with, as many threads as this process's part of the cores, unless a
    variable of the environment says how many: it would take all cores in each of the processes."""
    if not any(os.environ.get(name) for name in BLAS_VARIABLES):
        threadpool_limits(cpu_threads(), "blas")


def _library():
    import mpi4py

    mpi4py.rc(initialize=False, finalize=True)  # not by the import: it may end this process
    from mpi4py import MPI

    return MPI


def _launcher(started):
    return "Slurm's srun" if started.launcher == "Slurm" else f"the mpiexec of {started.launcher}"


def _way_out(started, library):
    if started.launcher == "Slurm":
        kind = "pmix" if library == "Open MPI" else "pmi2"
        return (
            f"try srun --mpi={kind}, or an srun -n 1 for each of several runs that have nothing to do with each other"
        )
    beside = Path(sys.prefix, "bin", "mpiexec")  # where pip puts it
    where = f" ({beside}, unless another MPI has been installed there, too)" if beside.exists() else ""
    return f"start them with the mpiexec of {library}{where}"
