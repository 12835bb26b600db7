"""How many cores there are for this process."""

import contextlib
import math
import os
from pathlib import Path

from minicnn.distributed.launch import launch


def usable():
    """The numbers of the cores that this process may run on."""
    with contextlib.suppress(AttributeError, OSError):  # other systems do not tell, and some containers must not
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def quota(root="/sys/fs/cgroup", group="/proc/self/cgroup"):
    """How many cores' time this process may use; infinite without a limit.

    A limit is set by a container or by systemd, through Linux's control groups: `root` is where their files are, and
    `group` names the process's own. In version 2 each group above it may have a limit too.
    """
    own = Path()  # the root group, where none is named
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path(group).read_text().splitlines()
        own = Path(next(line for line in lines if line.startswith("0::")).removeprefix("0::").lstrip("/"))
    files = [[Path(root, folder, "cpu.max")] for folder in (own, *own.parents)]
    files += [[Path(root, "cpu", "cpu.cfs_quota_us"), Path(root, "cpu", "cpu.cfs_period_us")]]  # version 1
    quotas = [math.inf]
    for paths in files:
        with contextlib.suppress(OSError, ValueError):  # no such file, "max", or what nobody has heard of
            most, period = map(int, " ".join(path.read_text() for path in paths).split())
            quotas.append(most / period if min(most, period) > 0 else math.inf)
    return min(quotas)


def share():
    """How many threads this process should have: as many as there are cores for it; of several processes that an
    mpiexec has started on this machine, its part of the cores that there are for all of them.

    Some launchers bind each process to a few cores of its own, which must not be divided again, or to some that several
    processes share. So what is divided is what the launcher itself, their parent, may use; and nobody gets more threads
    than it has cores. (A shell in between is taken for the launcher: then there are fewer threads than could be.)
    """
    own, most = len(usable()), quota()
    started = launch()
    if started is None or started.local_size == 1:
        return max(1, math.ceil(min(own, most)))
    everybodys = own
    with contextlib.suppress(AttributeError, OSError):
        everybodys = len(os.sched_getaffinity(os.getppid()))
    with contextlib.suppress(KeyError, ValueError):  # Slurm's daemon may use more than the job
        everybodys = min(everybodys, int(os.environ["SLURM_CPUS_ON_NODE"]))
    return max(1, min(own, int(min(everybodys, most) // started.local_size)))
