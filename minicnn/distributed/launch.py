"""Which processes were started together with this one: read from the environment, before any MPI is imported.

    mpiexec -n 4 python examples/alexnet_imagenet.py     each of the four finds in its environment which one it is

MPICH's mpiexec (and Intel's, and Slurm with --mpi=pmi2) and Open MPI's have names of their own for that.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple


class Launch(NamedTuple):
    """What the launcher has said of this process."""

    launcher: str  # whose mpiexec that was: a word for messages
    rank: int  # this process's number, from 0 on
    size: int  # how many there are
    local_rank: int  # the number among those on this machine
    local_size: int  # how many of them are on this machine


# (launcher, the names of its variables, in the order of Launch's fields)
LAUNCHERS = (
    ("Open MPI", ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                  "OMPI_COMM_WORLD_LOCAL_SIZE")),
    ("MPICH", ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")),
)  # fmt: skip


def launch(environ: Mapping[str, str] = os.environ) -> Launch | None:
    """What `environ` says of a launcher; None where there was none."""
    for launcher, (rank, size, *local) in LAUNCHERS:
        if environ.get(rank, "").isdecimal() and environ.get(size, "").isdecimal():
            if not all(environ.get(name, "").isdecimal() for name in local):
                local = [rank, size]  # a launcher that does not tell: all are taken to be on this machine
            return Launch(launcher, *(int(environ[name]) for name in (rank, size, *local)))
    return None
