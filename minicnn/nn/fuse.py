"""fuse: a copy of a network for inference, whose batch norms are part of the convolutions before them.

In evaluation batch norm multiplies each channel by a number and adds one, which the convolution before it can do:

    (conv(x) - mean) * scale + beta = conv'(x)      scale = gamma / sqrt(var + eps), a number for each filter
                                                    weight' = weight * scale     bias' = (bias - mean) * scale + beta

Which layer stands before a batch norm is found by running the network once (trial.py). A batch norm is folded if

    - its input is what a Conv2d or a Linear has made, and nothing else takes that, nor does the network return it,
    - both ran once, and no other op takes the parameters of the layer before,
    - both are minicnn's own layers, without hooks: nobody looks at what passes between them.

Every other one stays as it is. In the end the copy has to give, on the same picture, what it gave before.

Source    Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
          CVPR 2018, section 3.2
"""

import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..device import host_array
from ..ops.batchnorm import BatchNorm
from ..settings import kind_of
from ..tensor import Tensor
from ..types import Shape
from .containers import Sequential
from .fused import chain
from .layers import BatchNorm2d, Identity
from .module import Module
from .parameter import Parameter
from .trial import Trial
from .watch import is_looked_at
from .weighted import Conv2d, Linear

M = TypeVar("M", bound=Module)

OF_NORM = "running_mean", "running_var", "weight", "bias"  # a batch norm's tensors


@dataclass(frozen=True)
class FusionReport:
    """What ``fuse`` has done, by the batch norms' dotted names; ``print`` shows a line for each."""

    folded: dict[str, str]  # the layer that does its work now
    left: dict[str, str]  # why it stays as it is

    def __str__(self):
        lines = [f"{name}: folded into {before}" for name, before in self.folded.items()]
        lines += [f"{name}: left as it is, {reason}" for name, reason in self.left.items()]
        return "\n".join(lines) or "there is no batch norm"


class Chain(Sequential):
    """A Sequential that runs a ReLU as one op with the convolution, or the batch norm, before it (fused.py)."""

    def forward(self, x):
        return chain(x, *self)


def fuse(model: M, input_shape: Shape | list[Shape] | None = None) -> M:
    """A copy of the model for inference, in evaluation mode: batch norms are folded into the convolutions, or fully
    connected layers, before them; a ReLU, and what a ResNet's block adds before it, is done by the convolution's op.
    The model stays as it is.

        fast = minicnn.fuse(model)
        print(fast.fusion_report)                   # which batch norms were folded; why others were not
        with minicnn.no_grad():
            scores = fast(images)                   # those of model.eval(), but for rounding

    Load weights before. Where a batch norm was, the copy has an Identity, and the layer before it has a bias: ordinary
    layers, which are saved, moved and even trained as all others, but ``train()`` brings no statistics of the batch
    back. Folded weights are worked out in float64, then rounded to the weights' dtype.

    input_shape: (C, H, W) of a picture that the model takes, or a list of such shapes if it takes several inputs. Only
        needed where no picture of 64, 224 or 300 pixels fits. The model must do the same ops for every picture.
    ValueError if the model cannot be run on such pictures, or a folded weight would not be finite; RuntimeError if the
    copy does not give what the model gives.
    """
    if not isinstance(model, Module):
        raise TypeError(f"fuse: takes a Module, not a {kind_of(model)}")
    result = copy.deepcopy(model).eval()
    result.zero_grad()
    modules = dict(result.named_modules())
    norms = [name for name, module in modules.items() if isinstance(module, BatchNorm2d)]
    trial = Trial(result, input_shape) if norms else None
    folded, left = {}, {}
    for name in norms:
        try:
            folded[name] = _layer_before(name, modules, trial)
        except _Stays as reason:
            left[name] = str(reason)
    for name, before in folded.items():
        _fold(before, modules[before], name, modules[name])
    for module in modules.values():
        if type(module) is Sequential and "forward" not in vars(module):
            module.__class__ = Chain
        if not module._hooks:  # the trial's are gone: then no call shall ask an empty list
            vars(module).pop("_hooks", None)
    if trial:
        _check_results(trial)
    vars(result)["fusion_report"] = FusionReport(folded, left)
    return result


class _Stays(Exception):
    """Why a batch norm cannot be folded."""


def _layer_before(name, modules, trial):
    """The name of the layer that does the batch norm's work in future; _Stays if there is none."""
    call = _only_call(name, modules[name], trial)
    if is_looked_at(modules[name]):
        raise _Stays(f"since {name} has hooks, which may look at what it makes, or change it")
    if type(call.y) is not BatchNorm or not trial.uses(call.y):
        raise _Stays(f"since the network's result does not depend on what {name} makes")
    if call.y.training:
        raise _Stays("since it takes the mean and variance of the batch")
    # the first call that ended with its input: a Sequential has handed on what a layer in it had made
    before = next((each.name for each in trial.calls if each.y is call.x and each.y is not None), name)
    layer = modules[before]
    if not isinstance(layer, (Conv2d, Linear)):
        raise _Stays("since its input is not what a Conv2d or a Linear has made")
    made = _only_call(before, layer, trial)
    if isinstance(layer, Linear) and made.axes != 2:  # of (N, L, C), each of L is normalised
        raise _Stays(f"since {before} does not make one number for each of its channels")
    if trial.uses(made.y) > 1:
        raise _Stays(f"since what {before} makes is used elsewhere, too")
    if looking := [each.name for each in trial.calls if made.y in each.passing and is_looked_at(modules[each.name])]:
        raise _Stays(f"since {looking[0] or 'the network'} has hooks, which see what {before} makes")
    for owner in before, name:
        if any(trial.uses(parameter) > 1 for parameter in modules[owner].parameters()):
            raise _Stays(f"since the parameters of {owner} are used elsewhere, too")
    return before


def _only_call(name, layer, trial):
    """The only call of a layer that may be changed; _Stays otherwise."""
    calls = trial.calls_of(name)
    if type(layer) not in (Conv2d, Linear, BatchNorm2d) or "forward" in vars(layer):
        raise _Stays(f"since {name} is a {type(layer).__name__} with a forward of its own")
    if len(calls) != 1:
        raise _Stays(f"since {name} runs {len(calls)} times" if calls else f"since {name} does not run in evaluation")
    return calls[0]


def _fold(before: str, layer: Any, name: str, norm: Any) -> None:
    """Put the batch norm, which becomes an Identity, into the layer's weight and bias."""
    given = {f"{before}.{key}": getattr(layer, key) for key in ("weight", "bias")}
    given |= {f"{name}.{key}": getattr(norm, key) for key in OF_NORM}
    found = {key: host_array(tensor).astype(np.float64) for key, tensor in given.items() if tensor is not None}
    weight, mean, var = (found[key] for key in (f"{before}.weight", f"{name}.running_mean", f"{name}.running_var"))
    old_bias, beta = (found.get(f"{owner}.bias", 0.0) for owner in (before, name))
    with np.errstate(all="ignore"):  # what is not finite is found below
        scale = found.get(f"{name}.weight", 1.0) / np.sqrt(var + norm.eps)  # (OC,)
        new = {
            "weight": weight * scale.reshape(-1, *[1] * (weight.ndim - 1)),  # (OC, C/groups, KH, KW), or (OC, C)
            "bias": (old_bias - mean) * scale + beta,
        }
        new = {key: array.astype(layer.weight.dtype) for key, array in new.items()}
    if not all(np.isfinite(array).all() for array in new.values()):
        wrong = [
            key for key, array in found.items() if not np.isfinite(array).all() or (array is var and array.min() < 0)
        ]
        why = (
            f"look at {', '.join(wrong)}, with numbers that are NaN, infinite or negative" if wrong else "it overflows"
        )
        raise ValueError(f"fuse: {name} cannot be folded into {before}, whose weights would not be finite; {why}")
    for key, array in new.items():
        setattr(layer, key, Parameter(Tensor(array).to(layer.weight.device), layer.weight.requires_grad))
    for key in OF_NORM:
        delattr(norm, key)
    norm.__class__ = Identity  # the same object: whoever holds it need not know


def _check_results(trial):
    """RuntimeError unless the model still gives what it gave, but for rounding."""
    try:
        results = trial.again()
    except Exception as error:  # a network's own code, of which a batch norm is gone
        what = f"the copy does not run any more ({type(error).__name__}: {error})"
        why = "does its forward look at a batch norm's tensors?"
        raise RuntimeError(f"fuse: {what}; {why} Such a network cannot be fused") from error
    for before, now in zip(trial.results, results, strict=True):
        if before.dtype.kind != "f":
            continue
        largest = np.abs(before[np.isfinite(before)]).max(initial=0)
        tolerance = np.sqrt(np.finfo(before.dtype).eps) * largest  # half of the digits
        if before.shape != now.shape or not np.allclose(now, before, rtol=0, atol=tolerance, equal_nan=True):
            what = "the copy does not give what the model gives"
            why = "does its forward draw random numbers, or read what a layer makes by numpy() or detach()?"
            raise RuntimeError(f"fuse: {what}, beyond rounding; {why} Such a network cannot be fused")
