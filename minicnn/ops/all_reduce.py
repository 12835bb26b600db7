"""All-reduce: every rank gets the sum of the tensors of all ranks.

Shapes    x (any) on each of n ranks, all of one shape   ->   y (of that shape), the same on all of them
Forward   y = sum over ranks of their x
Backward  grad_x = sum over ranks of their grad_out
          Each rank's y has this x in it, so that each rank's loss has a part in its gradient. The rule that ops over
          ranks share is on the page of all_gather; it says, too, where a loss that all ranks work out alike begins.
Saves     nothing
Mirrors   none: what moves arrays is the world's (distributed/mpi.py, nccl.py). Alone, a rank gets its x back.
Test      tests/distributed/test_collectives.py
Source    Thakur et al., "Optimization of collective communication operations in MPICH", IJHPCA 19, 2005
"""

from ..autograd import Function
from ..distributed import world
from ..variable import V
from .alike import check_alike
from .arguments import check_tensors
from .operands import as_integers


def all_reduce(input: V) -> V:
    """The sum of all ranks' `input`, of any shape; the same shape and dtype, of numbers, on all of them.

    RanksDiffer (a RuntimeError) on all ranks if they do not call it alike.
    """
    check_tensors("all_reduce", {"input": input})
    input = as_integers(input)  # the sum of masks counts
    return input if world().size == 1 else AllReduce.apply(input)


class AllReduce(Function):
    def forward(self, x):
        check_alike(self, "all_reduce", x)
        return world().sum(x)

    def backward(self, grad_out):
        check_alike(self, "backward of all_reduce", grad_out)
        return world().sum(grad_out)
