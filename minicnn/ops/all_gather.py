"""All-gather: every rank gets the tensors of all ranks, one behind the other.

Shapes    x (..., L, ...) on each of n ranks, all of one shape   ->   y (..., n*L, ...), the same on all of them
Forward   y = the ranks' x, in the order of the ranks, along axis dim: x of rank r is y[..., r*L : (r+1)*L, ...]
Backward  grad_x = sum over ranks of their grad_out[..., r*L : (r+1)*L, ...]      r: the rank of this x
          The sum, since each rank has used x, and knows only the gradient of its own use. That is reduce-scatter.
Rule      The loss of a model over ranks is the sum of all ranks' losses. An op over ranks is a linear map from all
          ranks' x to all ranks' y, and its backward is the transpose of that map:
          all_gather and reduce_scatter are each other's, all_reduce is its own.
          A loss that n ranks work out alike, of tensors that they have gathered, is in that sum n times; it begins with
          (loss / n).backward(). All ranks call the same ops in the same order, forward and backward.
Saves     nothing
Mirrors   none: what moves arrays is the world's (distributed/mpi.py, nccl.py). Alone, a rank gets its x back.
Test      tests/distributed/test_collectives.py
Source    Thakur et al., "Optimization of collective communication operations in MPICH", IJHPCA 19, 2005
"""

import numpy as np

from ..autograd import Function
from ..distributed import World, world
from ..types import Array
from ..variable import V
from .alike import check_alike
from .arguments import axis, check_tensors, with_numpys_words


@with_numpys_words
def all_gather(input: V, dim: int = 1) -> V:
    """The `input` of every rank, in the order of the ranks, along the axis `dim`: of features, unless told otherwise.

    input (any shape with that axis, and any dtype; the same on all ranks). Returns an axis `dim` that is as many times
    longer as there are ranks. RanksDiffer (a RuntimeError) on all ranks if they do not call it alike.
    """
    check_tensors("all_gather", {"input": input})
    dim = axis("all_gather", "dim", dim, input.data.shape)
    return input if world().size == 1 else AllGather.apply(input, dim=dim)


class AllGather(Function):
    def forward(self, x, dim):
        self.dim = dim
        check_alike(self, "all_gather", x, dim=dim)
        return gather_along(x, dim, world())

    def backward(self, grad_out):
        check_alike(self, "backward of all_gather", grad_out, dim=self.dim)
        return scatter_sum_along(grad_out, self.dim, world())


def gather_along(x: Array, dim: int, ranks: World) -> Array:
    """y (..., n*L, ...) = the x (..., L, ...) of all n ranks, one behind the other."""
    everyones = np.moveaxis(ranks.gather(x), 0, dim)  # (n, ..., L, ...) -> (..., n, L, ...)
    return everyones.reshape(*x.shape[:dim], ranks.size * x.shape[dim], *x.shape[dim + 1 :])


def scatter_sum_along(x: Array, dim: int, ranks: World) -> Array:
    """y (..., L, ...) = sum over ranks of their x[..., r*L : (r+1)*L, ...], where r is this rank. x (..., n*L, ...)."""
    each = x.shape[dim] // ranks.size
    slices = x.reshape(*x.shape[:dim], ranks.size, each, *x.shape[dim + 1 :])  # (..., n, L, ...)
    return ranks.scatter_sum(np.moveaxis(slices, dim, 0))  # of (n, ..., L, ...)
