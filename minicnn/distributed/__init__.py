"""Training by several processes: ranks, what they send each other, and gradients that are sums over all of them.

One idea a file:

    launch, start, current            who has started this process; MPI is imported, and fits; world()
    ranks, mpi, nccl, bfloat16        what ranks can do together; who carries arrays in memory, and on GPUs
    emulated_nccl, emulated_cuda      NCCL without GPUs
    rows, parallel                    which rows of a batch are whose; what users put around a step
    buckets, shards, sums, running    what becomes of gradients, and of running statistics
    agree, first                      what the ranks must have in common; rank 0 before the others
    ending, watchdog                  what happens when something goes wrong
"""

import sys
from typing import TYPE_CHECKING

from ..absent import absent
from ..device import choose_gpu
from .agree import RanksDiffer
from .current import world
from .ending import end_by_signal
from .launch import launch
from .parallel import DataParallel
from .ranks import World
from .start import LaunchError
from .watchdog import Watchdog

__all__ = ["DataParallel", "LaunchError", "RanksDiffer", "Watchdog", "World", "world"]

if (_started := launch()) is not None:
    choose_gpu(_started.local_rank)  # now: a model may be on "cuda" before anybody asks for the world
    if _started.size > 1:
        sys.excepthook = end_by_signal(_started)  # until there is a world, which has one of its own

if not TYPE_CHECKING:

    def __getattr__(name):  # torch.distributed.init_process_group, for instance
        raise absent("distributed", name)
