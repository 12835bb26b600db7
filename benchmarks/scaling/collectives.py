"""What a sum over all GPUs costs (all-reduce: afterwards each of them has the sum of what all of them had).

Both ways are those of NCCL, and the formulas those by which NCCL itself chooses between them (its src/graph/tuning.cc):
a message on a link takes latency + bytes / bandwidth. A ring sends each GPU's n-th of the array round twice, once to
add and once to tell, so that nobody sends more than 2 (n - 1) / n of it; but that is 2 (n - 1) messages one after the
other. A tree adds up towards its root and tells the sum on the way back: all bytes pass twice, but between machines it
is only log2(machines) deep; in a machine it is a chain. In both, many pieces of the array are on their way at once.
"""

from typing import NamedTuple


class Link(NamedTuple):
    """latency in seconds, bandwidth in bytes/s of each direction."""

    latency: float
    bandwidth: float


class Cluster(NamedTuple):
    """Machines of `per_machine` GPUs each. inside: the link of one GPU to the others of its machine. between: that of a
    whole machine to the network, which its GPUs share."""

    per_machine: int
    inside: Link
    between: Link

    def machines(self, gpus: int) -> int:
        return -(-gpus // self.per_machine)

    def bandwidth(self, gpus: int) -> float:
        """Of the narrowest link that a sum over so many GPUs passes."""
        passed = [self.inside] if min(gpus, self.per_machine) > 1 else []
        passed += [self.between] if self.machines(gpus) > 1 else []
        return min((link.bandwidth for link in passed), default=float("inf"))


def ring(size: float, gpus: int, cluster: Cluster) -> float:
    """Seconds of the sum of arrays of `size` bytes."""
    steps, between = 2 * (gpus - 1), 2 * (cluster.machines(gpus) - 1)
    latency = (steps - between) * cluster.inside.latency + between * cluster.between.latency
    return 2 * (gpus - 1) / gpus * size / cluster.bandwidth(gpus) + latency


def tree(size: float, gpus: int, cluster: Cluster) -> float:
    """Seconds of the sum of arrays of `size` bytes."""
    depth = (cluster.machines(gpus) - 1).bit_length()  # log2, rounded up
    chain = min(gpus, cluster.per_machine) - 1
    return 2 * size / cluster.bandwidth(gpus) + 2 * (chain * cluster.inside.latency + depth * cluster.between.latency)


def faster(size: float, gpus: int, cluster: Cluster) -> float:
    """Seconds of the faster one for these arrays."""
    return min(ring(size, gpus, cluster), tree(size, gpus, cluster))
