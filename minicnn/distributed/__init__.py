"""Training by several processes: ranks, what they send each other, and gradients that are sums over all of them.

One idea a file: launch.py reads who has started the process, ranks.py says what ranks can do together, mpi.py and
nccl.py do it.
"""

from .ranks import World, world

__all__ = ["World", "world"]
