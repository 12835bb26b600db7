"""Run on several ranks: what ops over ranks are, beside NumPy on what all ranks have. It prints the largest errors.

mpiexec -n 3 python tests/support/ops_of_ranks.py
"""

import json

import numpy as np

import minicnn.functional as F
from minicnn import Tensor, nn
from minicnn.device import to_device
from minicnn.distributed import RanksDiffer, world

# (op, shape, axis): with an axis of n, the number of ranks, times `each`; a short, a long, the first and the last axis
CASES = [("all_gather", (2, 3, 4, 5), 1), ("all_gather", (3,), 0), ("all_gather", (2, 3, 4), -1),
         ("all_gather", (2, 3, 2, 2), 2), ("all_gather", (2, 0, 3), 1), ("reduce_scatter", (2, 6, 4, 5), 1),
         ("reduce_scatter", (4,), 0), ("reduce_scatter", (3, 2, 4), -1), ("reduce_scatter", (2, 3, 3, 2), 2),
         ("reduce_scatter", (0, 2), 1), ("all_reduce", (2, 3, 4), None), ("all_reduce", (), None)]  # fmt: skip


def layout(array, kind):
    """The same numbers, laid out in memory in another way."""
    if kind == "columns first":
        return array.T.copy().T
    if kind == "every second":
        return np.stack([array, array], axis=-1)[..., 1]
    return array


def expected(op, xs, dim, rank):
    """y of this rank, from the x of all ranks."""
    if op == "all_gather":
        return np.concatenate(xs, dim)
    return sum(xs) if op == "all_reduce" else np.split(sum(xs), len(xs), dim)[rank]


def check(world, device, op, shape, dim, kind):
    """(how far y is from what it should be, <A x, grad_out> - <x, A^T grad_out> summed over all ranks)"""
    rank, size = world.rank, world.size
    if op == "reduce_scatter":
        shape = tuple(n * size if axis == dim % len(shape) else n for axis, n in enumerate(shape))
    xs = [np.random.default_rng([1, r]).standard_normal(shape) for r in range(size)]  # of all ranks
    mine = np.array(xs[rank])
    x = Tensor(layout(to_device(mine, device), kind), requires_grad=True)
    y = getattr(F, op)(x) if dim is None else getattr(F, op)(x, dim)
    grad_out = np.random.default_rng([2, rank]).standard_normal(y.shape)
    y.backward(Tensor(layout(to_device(grad_out, device), kind)))
    wrong = np.abs(y.numpy() - expected(op, xs, dim, rank)).max(initial=0)
    forward = world.sum(np.array((y.numpy() * grad_out).sum()))
    backward = world.sum(np.array((mine * x.grad.numpy()).sum()))
    return float(wrong), float(abs(forward - backward))


def errors(world, device="cpu"):
    """The largest of both, over all cases and layouts, and how many these are."""
    found = [
        check(world, device, *case, kind) for case in CASES for kind in ("rows first", "columns first", "every second")
    ]
    return max(wrong for wrong, _ in found), max(difference for _, difference in found), len(found)


def refusals(world):
    """What this rank is told where the last rank does something else. Afterwards, all can go on."""
    odd = world.rank == world.size - 1
    x, longer = (Tensor(np.ones((2, n)), requires_grad=True) for n in (12, 24))
    both = F.all_gather(x), F.all_gather(longer)
    calls = [
        lambda: F.all_gather(longer if odd else x),
        lambda: F.all_gather(x.float() if odd else x),
        lambda: F.all_gather(x, 0 if odd else 1),
        lambda: F.all_reduce(x) if odd else F.all_gather(x),
        lambda: F.reduce_scatter(x.detach() if odd else x),
        lambda: F.all_reduce(Tensor(np.ones(3 if odd else 1))),
        lambda: (both[1] if odd else both[0]).sum().backward(),
    ]
    return [told(call) for call in calls]


def told(call):
    try:
        call()
    except RanksDiffer as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    w = world()
    x = Tensor(np.full((2, 2), w.rank, np.int64))
    layers = [nn.AllGather()(x), nn.ReduceScatter(0)(nn.AllGather(0)(x)), nn.AllReduce()(x)]
    print(json.dumps({
        "errors": errors(w), "refusals": refusals(w), "layers": [layer.numpy().tolist() for layer in layers],
        "float32": str(F.all_gather(Tensor(np.ones((1, 1), np.float32))).dtype),
        "counted": F.all_reduce(Tensor(np.array([True, w.rank == 0]))).numpy().tolist(),
    }))  # fmt: skip
