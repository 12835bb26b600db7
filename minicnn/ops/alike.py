"""What an op over ranks begins with: the question whether all ranks are about to call the same one."""

from typing import Any

from ..autograd import Function
from ..distributed import world
from ..distributed.agree import agree
from ..types import Array

ADVICE = "every rank must call the same ops in the same order, with arrays of one shape and dtype"


def check_alike(node: Function, op: str, array: Array, **settings: Any) -> None:
    """RanksDiffer, on all ranks, unless each applies `op` to such an array; else they would wait for one another for
    ever, or mix up numbers. Its price is a message of four bytes."""
    call = {"op": op, "shape": array.shape, "dtype": str(array.dtype), "device": node.device, **settings}
    agree(op, call | {"requires_grad": any(node.needs_input_grad)}, world(), ADVICE)
