"""Parameter: what a Module trains."""

from typing import Any

from ..tensor import Tensor
from ..variable import Variable


class Parameter(Tensor):
    """A Tensor that a Module trains: it requires a gradient and is found by ``parameters()``.

    data: an array, or a Tensor; the Parameter is a new leaf in its memory, whatever graph the Tensor came out of.
    """

    is_parameter = True

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data.data if isinstance(data, Variable) else data, requires_grad)
        if isinstance(data, Variable):
            self.version = data.version  # what is written into one has changed the other
