"""Networks of which each rank holds a part: layers cut by their outputs, and what the whole network's checkpoint is.

A layer of 4,096 outputs on two ranks: each has 2,048 rows of its weight and bias, and their gradients, which are
complete: nobody else has a part in them. ``own_part = True`` on a module says so of its parameters and of those of the
modules below it; ``distributed.DataParallel`` then leaves them alone. Of a parameter that every rank has a copy of,
each gets a part of the gradient, and the sum over ranks, which DataParallel takes, is the whole. All parts are equal,
cut along axis 0, in the order of the ranks, so that a checkpoint of the whole network becomes any rank's, and back.
"""

from collections.abc import Mapping
from typing import Any, Self

from .. import functional as F
from ..device import host_array
from ..distributed import world
from ..ops.all_gather import gather_along
from ..settings import kind_of
from ..tensor import Tensor
from .module import Module
from .parameter import Parameter
from .weighted import Linear


class SplitLinear(Linear):
    """``Linear`` whose outputs are split over ranks: each works out its own and hands on, by all_gather, those of all.

    Every rank gives the same input, and the whole layer's numbers of features, of which that of the outputs must be a
    multiple of the number of ranks. Initial weights are the whole layer's. A process that is alone has all of it.
    """

    own_part = True

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        keep_own_outputs(type(self).__name__, self)

    @classmethod
    def convert(cls, layer: Linear) -> Self:
        """Make a Linear such a layer, in place, with this rank's rows of the weights that it has. Returns it."""
        if type(layer) is not Linear:
            raise TypeError(f"{cls.__name__}.convert: it converts a Linear, not a {kind_of(layer)}")
        keep_own_outputs(f"{cls.__name__}.convert", layer)
        layer.__class__ = cls
        return layer  # type: ignore[return-value]

    def forward(self, x):
        return F.all_gather(super().forward(x), -1)  # (..., OC / ranks) -> (..., OC)

    def extra_repr(self):
        return f"{super().extra_repr()}, own_rows={self.weight.shape[0]}"


def keep_own_outputs(who: str, layer: Any) -> None:
    """Cut down the weight and the bias of a layer to this rank's rows; ValueError unless all ranks have as many.

    who: for the message."""
    outputs, size = layer.weight.shape[0], world().size
    if outputs % size:
        what = f"{outputs} outputs cannot be shared out to {size} ranks in equal parts"
        raise ValueError(f"{who}: {what}; their number must be a multiple of {size}")
    for name in ("weight", "bias"):
        whole = getattr(layer, name)
        if whole is not None:
            own = Parameter(own_rows(whole.data).copy())  # a copy, so that the rest is let go
            setattr(layer, name, own.requires_grad_(whole.requires_grad))


def own_rows(array: Any) -> Any:
    """This rank's part of the rows of an array."""
    each = len(array) // world().size
    return array[world().rank * each :][:each]


def is_split(model: Module) -> bool:
    """Whether each rank has a part of its own of the model, or of some of its layers."""
    return world().size > 1 and any(getattr(module, "own_part", False) for module in model.modules())


def gather_state(model: Module) -> dict[str, Tensor]:
    """The state of the whole network, on every rank: ``model.state_dict()`` with the parts of all ranks put together.

    Every rank must call it.
    """
    parts = set(_keys_of_parts(model))
    state = model.state_dict()
    return {k: Tensor(gather_along(v.data, 0, world())) if k in parts else v for k, v in state.items()}


def split_state(model: Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """This rank's part of the whole network's `state`: ``model.load_state_dict(nn.split_state(model, state))``.

    ValueError for an entry that does not have the rows of all ranks' parts together.
    """
    own, size = model.state_dict(), world().size
    found = dict(state)
    for key in _keys_of_parts(model):
        if key not in state:
            continue  # load_state_dict will say so
        whole, rows = host_array(state[key]), len(own[key].data) * size
        if whole.ndim == 0 or len(whole) != rows:
            what = f"{key} of shape {whole.shape} is not the whole of {size} ranks' parts of {own[key].shape}"
            raise ValueError(f"split_state: {what}; it needs {rows} rows")
        found[key] = own_rows(whole)
    return found


def _keys_of_parts(model):
    """The keys of state_dict() whose values are a rank's own; some twice, where modules with parts hold each other."""
    parts = [(name, module) for name, module in model.named_modules() if getattr(module, "own_part", False)]
    return [f"{name}.{key}" if name else key for name, module in parts for key in module.state_dict()]
