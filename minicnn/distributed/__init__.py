"""Training by several processes: ranks, what they send each other, and gradients that are sums over all of them.

One idea a file: launch.py reads who has started the process, ranks.py says what ranks can do together, mpi.py and
nccl.py do it. On them stand buckets.py and shards.py, what becomes of gradients, and parallel.py, what users put around
a step. agree.py compares what the ranks must have in common; start.py, ending.py and watchdog.py are for
what goes wrong.
"""

from typing import TYPE_CHECKING

from ..absent import absent
from ..device import choose_gpu
from .agree import RanksDiffer
from .current import world
from .launch import launch
from .parallel import DataParallel
from .ranks import World
from .start import LaunchError
from .watchdog import Watchdog

__all__ = ["DataParallel", "LaunchError", "RanksDiffer", "Watchdog", "World", "world"]

if (_started := launch()) is not None:
    choose_gpu(_started.local_rank)  # now: a model may be on "cuda" before anybody asks for the world

if not TYPE_CHECKING:

    def __getattr__(name):  # torch.distributed.init_process_group, for instance
        raise absent("distributed", name)
