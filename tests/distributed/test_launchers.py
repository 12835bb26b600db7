"""Who has started a process, told from its environment; and an mpiexec that does not fit the MPI that is installed."""

import os
import subprocess
import sys

import mpi
import pytest
from checks import raises

from minicnn.distributed import LaunchError, current, ending, start
from minicnn.distributed.launch import Launch, launch

HYDRA = {"PMI_RANK": "2", "PMI_SIZE": "4", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "2"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
BATCH = {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}  # a script of sbatch
STEP = {
    "SLURM_PROCID": "6",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "3",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3),1",
}


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, None),
        (HYDRA, Launch("MPICH", 2, 4, 0, 2)),
        (OPEN_MPI, Launch("Open MPI", 3, 4, 1, 2)),
        (OPEN_MPI | HYDRA, Launch("Open MPI", 3, 4, 1, 2)),
        ({"PMI_RANK": "2", "PMI_SIZE": "4"}, Launch("MPICH", 2, 4, 2, 4)),  # nobody says: as on one machine
        (BATCH, None),
        (BATCH | HYDRA, Launch("MPICH", 2, 4, 0, 2)),  # an mpiexec in that script
        (STEP, Launch("Slurm", 6, 7, 0, 1)),
        (STEP | {"SLURM_NODEID": "1", "SLURM_LOCALID": "1", "SLURM_PROCID": "3"}, Launch("Slurm", 3, 7, 1, 2)),
        (STEP | {"PMI_RANK": "6", "PMI_SIZE": "7"}, Launch("MPICH", 6, 7, 0, 1)),  # srun --mpi=pmi2
        (STEP | {"SLURM_STEP_TASKS_PER_NODE": "?"}, Launch("Slurm", 6, 7, 6, 7)),
        ({"PMI_RANK": "two", "PMI_SIZE": "4"}, None),
        ({"PMI_RANK": "", "PMI_SIZE": "\u00b2"}, None),
    ],
)
def test_what_an_environment_says(environment, expected):
    assert launch(environment) == expected


ALONE = """
import sys
from minicnn.distributed import world
assert (world().rank, world().size, world().part) == (0, 1, (0, 1))
assert "mpi4py" not in sys.modules
"""


def test_one_process_imports_no_mpi():
    """Neither in a batch script nor as the only one of an mpiexec."""
    environment = {**os.environ, **BATCH, "PMI_RANK": "0", "PMI_SIZE": "1"}
    subprocess.run([sys.executable, "-c", ALONE], env=environment, check=True)


REFUSED = """
import sys
from minicnn.distributed import world
from minicnn.train import exit_code
if sys.argv[1] == "no mpi4py":
    sys.modules["mpi4py"] = None
sys.exit(exit_code(world))
"""


def refused(environment, case=""):
    """(exit code, what was printed) of a process with this environment."""
    command = [sys.executable, "-c", REFUSED, case]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=150)
    return done.returncode, done.stdout + done.stderr


def test_without_mpi4py():
    code, line = refused(HYDRA | {"PMI_RANK": "0"}, "no mpi4py")
    assert code == 2 and line.count("\n") == 1
    assert line.startswith("error: the mpiexec of MPICH has started 4 processes, which need mpi4py to find each other")
    assert "pip install 'minicnn[mpi]'" in line
    assert refused(HYDRA | {"MPI_LOCALRANKID": "1"}, "no mpi4py") == (2, "")  # the first of that machine says it


@mpi.skip_without_mpi
def test_the_mpiexec_of_another_mpi():
    """Open MPI's before MPICH's library, or the other way round: that is found before MPI is initialised, which would
    end the process there, and begin n runs of size 1 here."""
    from mpi4py import MPI

    library = MPI.get_vendor()[0]
    other, environment = ("MPICH", HYDRA) if library == "Open MPI" else ("Open MPI", OPEN_MPI)
    first = environment | {"PMI_RANK" if other == "MPICH" else "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
    code, line = refused(first)
    assert code == 2 and line.count("\n") == 1
    assert line.startswith(f"error: the mpiexec of {other} has started 4 processes, but mpi4py uses {library}: start")
    assert f"with the mpiexec of {library}" in line


@mpi.skip_without_mpi
def test_several_runs_of_size_1():
    """srun without MPI's help, or an mpiexec that this library does not understand: MPI says that it is alone."""
    code, line = refused(STEP | {"SLURM_PROCID": "0"})
    assert code == 2 and line.count("\n") == 1
    assert "Slurm's srun has started 7 processes" in line and "rank 0 of 1, not 0 of 7" in line
    assert "srun --mpi=pm" in line and "srun -n 1" in line


def test_a_library_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr(start, "_library", lambda: (_ for _ in ()).throw(RuntimeError("cannot load MPI library\nmore")))
    with raises(LaunchError, "mpi4py finds no MPI: cannot load MPI library; pip install"):
        start.start(Launch("MPICH", 0, 2, 0, 2))


def test_a_program_without_exit_code_gets_one_line_too(monkeypatch, capsys):
    def refuse(started):
        raise LaunchError("no MPI")

    for name, value in (HYDRA | {"PMI_RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(current, "Ranks", refuse)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(LaunchError) as caught:
        current.world.__wrapped__()
    assert sys.excepthook is ending.show_refusal
    sys.excepthook(caught.type, caught.value, caught.tb)
    assert capsys.readouterr().err == "error: no MPI\n"
