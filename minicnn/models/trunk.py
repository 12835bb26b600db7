"""What networks of named layers share: a trunk, whose layers run one after the other, and a last layer, `fc`."""

from typing import Any

from .. import nn
from ..tensor import Tensor


class Trunk(nn.Module):
    """trunk (feature maps) -> average over all positions -> fc (scores)."""

    HEAD = "fc"
    fc: Any  # an nn.Linear, unless a user exchanges it
    stages: list[str]  # where the network may be cut: the names of layers of the trunk, from the input on
    _trunk: tuple[str, ...]  # the names of all its layers, in order

    def trunk(self) -> list[nn.Module]:
        """What runs before the average, in order. By name: a layer that a user adds to the network is none of them."""
        return [getattr(self, name) for name in self._trunk]

    def features(self, x: Tensor, name: str) -> Tensor:
        """What comes out of the layer `name`: "conv1", "layer3", "layer3.0.bn2", ...; see ``nn.output_of``."""
        return nn.output_of(self, name, x)
