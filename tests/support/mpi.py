"""Running a program on several ranks, for tests: each rank's output by itself, and no rank left over.

    ended = mpi.run(2, "from minicnn.distributed import world\nprint(world().rank)", timeout=30)
    ended.code, ended.out[1], ended.err[1]           0, "1\n", ""

    job = mpi.start(4, Path("program.py"), "--flag")  # and while it runs:
    os.kill(job.pid(2), signal.SIGKILL)
    ended = job.end(timeout=30)                       # ended.seconds: from start to end; job.alive(): ranks left over

A program is a Path, or text. Ranks have one thread each. ``skip_without_mpi`` is the mark for tests that need it all.
"""

import atexit
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from paths import ROOMS, ROOT

HERE = Path(sys.executable).parent  # where pip's wheel of MPICH puts its programs
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(HERE), os.environ.get("PATH", os.defpath)]))
MISSING = [name for name, found in (("mpi4py", importlib.util.find_spec("mpi4py")), ("mpiexec", MPIEXEC)) if not found]

skip_without_mpi = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} is not installed: extra [mpi]")

# each rank becomes its program (exec keeps the number of the process), its output in files of its own in folder $0
BECOME = 'r=${PMI_RANK:-$OMPI_COMM_WORLD_RANK}; echo $$ >"$0/pid.$r"; exec "$@" >"$0/out.$r" 2>"$0/err.$r" </dev/null'
ENVIRONMENT = {
    "MINICNN_THREADS": "1",  # of each rank: a machine for tests has fewer cores than ranks
    "OPENBLAS_NUM_THREADS": "1",
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",  # other tests run at the same time: a rank that waits leaves its core to them
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), *ROOMS]),  # what tests can import, their programs can
    "OMPI_ALLOW_RUN_AS_ROOT": "1",  # Open MPI asks for these; MPICH does not read them
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}


class Ended(NamedTuple):
    code: int  # mpiexec's exit code
    out: list[str]  # what each rank printed
    err: list[str]
    said: str  # what mpiexec printed itself
    seconds: float

    def __str__(self):
        ranks = zip(self.out, self.err, strict=True)
        texts = [f"--- rank {rank}\n{out}{err}" for rank, (out, err) in enumerate(ranks)]
        return "\n".join([f"code {self.code} after {self.seconds:.1f} s", *texts, f"--- mpiexec\n{self.said}"])


class Job:
    """An mpiexec that runs."""

    def __init__(self, size, *command, cwd=None, **environment):
        self.size, self.folder, self.began = size, _new_folder(), time.monotonic()
        become = ["sh", "-c", BECOME, self.folder, *command]
        self.process = subprocess.Popen(
            [MPIEXEC, "-n", str(size), *map(str, become)],
            cwd=cwd,
            env={**os.environ, **ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "said").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at pytest's terminal is pytest's
        )

    def pid(self, rank):
        """The number of a rank's process, as soon as it has one."""
        while not self._read(f"pid.{rank}").endswith("\n"):
            assert self.process.poll() is None, f"mpiexec has ended without rank {rank}: {self._read('said')}"
            time.sleep(0.01)
        return int(self._read(f"pid.{rank}"))

    def said(self, rank):
        """What a rank has printed so far."""
        return self._read(f"out.{rank}")

    def alive(self):
        """The ranks whose processes run, whether mpiexec does or not."""
        return [rank for rank in range(self.size) if _runs(self._read(f"pid.{rank}"))]

    def gone(self, seconds=2):
        """Whether no rank is left over so many seconds after mpiexec, which does not wait for the last of them."""
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self.alive()

    def printed(self):
        """What each rank has printed until now."""
        return self._all("out")

    def end(self, timeout=150):
        """Wait for the end: an ``Ended``. After `timeout` seconds all are killed, and this is a TimeoutError."""
        try:
            code = self.process.wait(max(0, self.began + timeout - time.monotonic()))
        except BaseException as error:
            self.kill()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            code = None
        ended = Ended(code, self._all("out"), self._all("err"), self._read("said"), time.monotonic() - self.began)
        if code is None:
            raise TimeoutError(f"{self.size} ranks were killed after {timeout} s: {ended}")
        return ended

    def kill(self):
        """End every rank, and mpiexec; they are gone afterwards."""
        self.process.terminate()  # mpiexec starts no more ranks, and ends with its last one
        for rank in self.alive():  # a group of processes each, so that mpiexec's own is not enough
            os.kill(self.pid(rank), signal.SIGKILL)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _read(self, name):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def _all(self, kind):
        return [self._read(f"{kind}.{rank}") for rank in range(self.size)]


def start(size, program, *arguments, cwd=None, **environment):
    """Begin to run a program on `size` ranks."""
    if isinstance(program, str):
        path = _new_folder() / "program.py"
        path.write_text(program)
        program = path
    return Job(size, sys.executable, program, *arguments, cwd=cwd, **environment)


def run(size, program, *arguments, timeout=60, cwd=None, **environment):
    """Run it to its end, however that is."""
    return start(size, program, *arguments, cwd=cwd, **environment).end(timeout)


def succeed(size, program, *arguments, timeout=60, cwd=None, **environment):
    """What each rank printed; AssertionError, with everything that was said, unless all ended well."""
    ended = run(size, program, *arguments, timeout=timeout, cwd=cwd, **environment)
    assert ended.code == 0, str(ended)
    return ended.out


def _new_folder():
    """It is there until Python ends: a job that has ended may still be asked."""
    folder = Path(tempfile.mkdtemp(prefix="ranks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _runs(pid):
    """Whether there is a process of this number (a text), other than one that is dead and nobody has asked for."""
    stat = Path("/proc") / pid.strip() / "stat"
    return bool(pid) and stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
