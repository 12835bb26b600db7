"""Training by several processes: ranks, what they send each other, and gradients that are sums over all of them.

One idea a file: launch.py reads who has started the process, ranks.py says what ranks can do together, mpi.py and
nccl.py do it. On them stand buckets.py and shards.py, what becomes of gradients, and parallel.py, what users put around
a step.
"""

from .parallel import DataParallel
from .ranks import World, world

__all__ = ["DataParallel", "World", "world"]
