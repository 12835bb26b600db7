"""Which processes were started together with this one: read from the environment, before any MPI is imported.

    mpiexec -n 4 python alexnet_imagenet.py      each of the four finds in it its number, and how many there are

MPICH's mpiexec (and Intel's), Open MPI's, and Slurm's srun have names of their own for that. A batch script of Slurm
is one process, however many tasks its job may have: only what srun starts is a step of several.
"""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple


class Launch(NamedTuple):
    """What the launcher has said of this process."""

    launcher: str  # whose that was: a word for messages, "MPICH"
    rank: int  # this process's number, from 0 on
    size: int  # how many there are
    local_rank: int  # the number among those on this machine
    local_size: int  # how many of them are on this machine


# (launcher, the names of its variables in the order of Launch's fields); the first whose first two are set counts
LAUNCHERS = (
    ("Open MPI", ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                  "OMPI_COMM_WORLD_LOCAL_SIZE")),
    ("MPICH", ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")),
    ("Slurm", ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "")),  # srun's, with whichever --mpi
)  # fmt: skip


def launch(environ: Mapping[str, str] = os.environ) -> Launch | None:
    """What `environ` says of a launcher; None where there was none."""
    for launcher, names in LAUNCHERS:
        rank, size, local_rank, local_size = (_number(environ, name) for name in names)
        if rank is None or size is None:
            continue
        if local_rank is None or local_size is None:  # srun's, also where --mpi=pmi2 has set PMI_RANK
            local_rank, local_size = _number(environ, "SLURM_LOCALID"), _tasks_here(environ)
        if local_rank is None or local_size is None:  # nobody says: as on one machine
            local_rank, local_size = rank, size
        return Launch(launcher, rank, size, local_rank, local_size)
    return None


def _number(environ, name):
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def _tasks_here(environ):
    """How many of an srun's tasks are on this machine: "2(x3),1" means 2 on each of three, 1 on the fourth."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    counts = [int(count) for count, times in found for _ in range(int(times or 1))]
    node = _number(environ, "SLURM_NODEID")
    return counts[node] if node is not None and node < len(counts) else None
