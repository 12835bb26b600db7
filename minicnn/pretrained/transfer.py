"""Transfer learning: what another network has learnt, as the beginning of one's own.

A network is cut into a *backbone*, which turns a picture into features, and a *head*, its last fully connected layer,
which turns features into scores. The backbone's weights have seen a million pictures; the head is begun anew.

    option 1   freeze the backbone, train the head          replace_head, freeze_backbone
    option 2   train everything, earlier layers slower      replace_head, layer_groups; freeze_to: all but the first
    probe      a linear classifier on an earlier stage      LinearProbe: what is known there already?

Earlier layers, edges and colours, serve any pictures and need little change; later ones know the old classes (Yosinski
et al., "How transferable are features in deep neural networks?", NIPS 2014). Linear probes: Alain and Bengio,
"Understanding intermediate layers using linear classifier probes", 2016.
"""

from typing import Any

from .. import nn
from ..models import Network
from ..tensor import Tensor


def head_name(model: nn.Module) -> str:
    """The dotted name of the head: the last Linear; of a network of ``minicnn.models`` the last of its own, even if a
    user has added other layers to it. ValueError if there is none."""
    own = f"{model.HEAD}." if isinstance(model, Network) else ""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    names = [name for name in linear if f"{name}.".startswith(own)]
    if not names:
        raise ValueError(f"transfer: {type(model).__name__} has no Linear layer to be its head")
    return names[-1]


def head(model: nn.Module) -> nn.Linear:
    """The head itself."""
    modules: dict[str, Any] = dict(model.named_modules())
    return modules[head_name(model)]


def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """Put a new head for `num_classes` in the place of the old one, or in all its places if it has several names, with
    fresh weights; also the last layers of auxiliary heads, if there are any. Returns the model."""
    for old in (head(model), *(_linears(part)[-1] for part in auxiliary_heads(model).values())):
        new = nn.Linear(old.in_features, num_classes, bias=old.bias is not None).astype(old.weight.dtype)
        new.to(old.weight.device)
        for module in list(model.modules()):
            for name in [name for name, child in module._modules.items() if child is old]:
                setattr(module, name, new)
    return model


def auxiliary_heads(model: nn.Module) -> dict[str, nn.Module]:
    """The small classifiers that run in training only (models/googlenet.py), by name."""
    return {name: part for name, part in model.named_children() if name in getattr(model, "AUXILIARY", ())}


def freeze_backbone(model: nn.Module) -> nn.Module:
    """Freeze everything but the head: see ``Module.freeze``. Returns the model."""
    model.freeze()
    head(model).freeze(False)
    return model


def freeze_to(model: Network, stage: str) -> nn.Module:
    """Freeze the network from its input to the end of `stage`, one of ``model.stages``. Returns the model."""
    if stage not in model.stages:
        raise ValueError(f"freeze_to: {type(model).__name__} has no stage {stage!r}; it has {', '.join(model.stages)}")
    for part in stage_layers(model)[: model.stages.index(stage) + 1]:
        for layer in part:
            layer.freeze()
    return model


def layer_groups(model: Network, lr: float, factor: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, from the head to the input: the head, and what else is behind the last stage,
    learns at `lr`, each stage at `factor` times the rate of the one behind it (Howard and Ruder, ACL 2018, section 3.2,
    where factor is 1/2.6). Frozen parameters are left out."""
    groups = []
    for distance, layers in enumerate(reversed(stage_layers(model))):
        params = [p for layer in layers for p in layer.parameters() if p.requires_grad]
        if params:
            groups.append({"params": params, "lr": lr * factor**distance})
    return groups


def stage_layers(model: Network) -> list[list[nn.Module]]:
    """The layers of each stage of the network, and of what is behind the last one: a list of lists, from the input on.

    ``model.stages`` names the layers that end a stage. ValueError for a module that has weights beside modules of its
    own, for then its place between them is not known."""
    layers = {name: module for name, module in model.named_modules() if not list(module.children())}
    if mixed := [name for name, module in model.named_modules() if module._parameters and name not in layers]:
        raise ValueError(f"transfer: {mixed[0] or type(model).__name__!r} has weights beside layers; make them a layer")
    auxiliary = tuple(f"{name}." for name in auxiliary_heads(model))  # they learn as the head does: behind all stages
    parts, names = [], sorted(layers, key=lambda name: name.startswith(auxiliary))
    for stage in model.stages:
        end = 1 + max(i for i, name in enumerate(names) if f"{name}.".startswith(f"{stage}."))
        parts.append([layers[name] for name in names[:end]])
        names = names[end:]
    return [*parts, [layers[name] for name in names]]


def _linears(model):
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


class LinearProbe(nn.Module):
    """A linear classifier on the output of one stage of a frozen network, averaged over the positions of the picture.

    backbone: any network (its weights are frozen); stage: the name of a layer; channels: how many it gives out.
    """

    def __init__(self, backbone: nn.Module, stage: str, channels: int, num_classes: int) -> None:
        super().__init__()
        self.backbone, self.stage = backbone.freeze(), stage
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.output_of(self.backbone, self.stage, x)
        return self.head(y.mean(dim=(2, 3)) if y.ndim == 4 else y)
