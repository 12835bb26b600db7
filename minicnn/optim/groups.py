"""Parameter groups: what an optimiser shall train, and how, looked at when it is given."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..nn import BatchNorm2d
from ..precision import BFLOAT16
from ..settings import kind_of
from ..variable import Variable


def as_groups(name: str, params: Any) -> list[Any]:
    """The groups that `params` stands for: dicts, or one of all the Tensors. name: that of the optimiser."""
    params = _listed(f"{name}: params", params)
    if not params:
        raise ValueError(f"{name}: no parameters to train")
    dicts = [isinstance(each, Mapping) for each in params]  # which of them are groups
    if any(dicts) and not all(dicts):
        raise TypeError(f"{name}: params has both Tensors and groups; make each Tensor a group, {{'params': [tensor]}}")
    return params if all(dicts) else [{"params": params}]  # Tensors alone are one group


def checked_group(name: str, group: Any, defaults: dict[str, Any], present: Iterable[Variable]) -> dict[str, Any]:
    """`group` with the settings that it lacks; its parameters are leaves, of floats, and not among those `present`."""
    if not isinstance(group, Mapping) or "params" not in group:
        raise TypeError(f'{name}: a group must be a dict {{"params": [...], ...}}')
    if unknown := [key for key in group if key != "params" and key not in defaults]:
        raise ValueError(f"{name}: a group has no setting {unknown[0]!r}; it has {', '.join(defaults)}")
    params = group["params"]
    params = [params] if isinstance(params, Variable) else _listed(f'{name}: "params"', params)  # a single one will do
    taken = {id(p) for p in present}  # by identity: == of Tensors goes element by element
    for i, parameter in enumerate(params):
        _check_parameter(f"{name}: entry {i} of params", parameter)
        if id(parameter) in taken:
            raise ValueError(f"{name}: a parameter stands twice among params; it would be changed twice a step")
        taken.add(id(parameter))
    return {**defaults, **group, "params": params}


def weights_and_biases(
    model: Any, lr: float, weight_decay: float, bias_lr: float = 2.0, bias_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Two groups, as AlexNet was trained: biases (and every parameter with one axis) learn `bias_lr` times as fast as
    weights, with their own weight decay (the configuration files published with the 2012 code)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": lr, "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": lr * bias_lr, "weight_decay": bias_decay},
    ]


def by_weight_decay(
    model: Any, weight_decay: float, norm_weight_decay: float | None = None, bias_weight_decay: float | None = None
) -> list[dict[str, Any]]:
    """Groups with a weight decay of their own for the parameters of batch norms, and for the biases of other layers
    (He et al., "Bag of tricks for image classification with convolutional neural networks", CVPR 2019, section 3.1).

    None: that of the weights. Frozen parameters are left out, and so are groups without any.
    """
    decays = {
        "weights": weight_decay,
        "norms": weight_decay if norm_weight_decay is None else norm_weight_decay,
        "biases": weight_decay if bias_weight_decay is None else bias_weight_decay,
    }
    if len(set(decays.values())) == 1:
        return [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": weight_decay}]
    norms = {id(p) for module in model.modules() if isinstance(module, BatchNorm2d) for p in module.parameters()}
    members: dict[str, list[Any]] = {kind: [] for kind in decays}
    for name, p in model.named_parameters():
        if p.requires_grad:
            is_bias = name.rpartition(".")[2] == "bias"
            members["norms" if id(p) in norms else "biases" if is_bias else "weights"].append(p)
    return [{"params": members[kind], "weight_decay": decay} for kind, decay in decays.items() if members[kind]]


def _listed(what, params):
    """`params` as a list, if it is several things in an order."""
    if isinstance(params, Variable):
        raise TypeError(f"{what} is one Tensor, not several; put it into a list, [tensor]")
    if hasattr(params, "parameters"):  # a model
        raise TypeError(f"{what} is a {type(params).__name__}; give its .parameters()")
    if isinstance(params, (str, Mapping, set, frozenset)) or not isinstance(params, Iterable):  # a set has no order
        raise TypeError(f"{what} must be a list of Tensors or of groups, not a {type(params).__name__}")
    return list(params)  # an iterator such as model.parameters() is used up here, once


def _check_parameter(what, parameter):
    if not isinstance(parameter, Variable):
        hint = "; give .parameters(), not .named_parameters()" if isinstance(parameter, tuple) else ""
        raise TypeError(f"{what} is a {kind_of(parameter)}, not a Tensor{hint}")
    if parameter.node is not None:  # backward leaves no .grad on it
        advice = "only leaves are trained: give the tensors that it was computed from"
        op = type(parameter.node).__name__
        raise ValueError(f"{what}, of shape {parameter.data.shape}, was computed by {op}; {advice}")
    if parameter.data.dtype == BFLOAT16:
        raise TypeError(
            f"{what} is bfloat16; parameters are float32 or float64, and set_precision computes in bfloat16"
        )
    if parameter.data.dtype.kind != "f":  # counters of batches, say
        raise TypeError(f"{what} is {parameter.data.dtype}, which has no gradient; leave it out")
