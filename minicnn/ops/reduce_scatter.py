"""Reduce-scatter: the tensors of all ranks are added up, and every rank gets a slice of the sum.

Shapes    x (..., n*L, ...) on each of n ranks, all of one shape   ->   y (..., L, ...)
Forward   y = sum over ranks of their x[..., r*L : (r+1)*L, ...], along axis dim      r: the rank of this y
Backward  grad_x = the grad_out of all ranks, in their order, along axis dim
          Each slice of an x went into one rank's sum, whose gradient is that rank's alone. That is all-gather, whose
          page has the rule that ops over ranks share, and the code of both.
Saves     nothing
Mirrors   none: what moves arrays is the world's (distributed/mpi.py, nccl.py). Alone, a rank gets its x back.
Test      tests/distributed/test_collectives.py
Source    Thakur et al., "Optimization of collective communication operations in MPICH", IJHPCA 19, 2005
"""

from ..autograd import Function
from ..distributed import world
from ..variable import V
from .alike import check_alike
from .all_gather import gather_along, scatter_sum_along
from .arguments import axis, check_tensors, with_numpys_words
from .operands import as_integers


@with_numpys_words
def reduce_scatter(input: V, dim: int = 1) -> V:
    """This rank's slice, along the axis `dim`, of the sum of all ranks' `input`.

    input (any shape in which the number of ranks divides that axis; numbers; the same on all ranks). Returns an axis
    `dim` that is as many times shorter. RanksDiffer (a RuntimeError) on all ranks if they do not call it alike.
    """
    check_tensors("reduce_scatter", {"input": input})
    input = as_integers(input)  # the sum of masks counts
    shape, size = input.data.shape, world().size
    dim = axis("reduce_scatter", "dim", dim, shape)
    if shape[dim] % size:
        what = f"axis {dim} of {shape} cannot be dealt out to {size} ranks in equal slices"
        raise ValueError(f"reduce_scatter: {what}; its length must be a multiple of {size}")
    return input if size == 1 else ReduceScatter.apply(input, dim=dim)


class ReduceScatter(Function):
    def forward(self, x, dim):
        self.dim = dim
        check_alike(self, "reduce_scatter", x, dim=dim)
        return scatter_sum_along(x, dim, world())

    def backward(self, grad_out):
        check_alike(self, "backward of reduce_scatter", grad_out, dim=self.dim)
        return gather_along(grad_out, self.dim, world())
