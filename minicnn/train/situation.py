"""What a training step depends on besides the values in memory: as long as that stays, a captured step is the step.

A graph replays launches. It does not see that a layer is frozen or in evaluation mode by now, that dropout's p, the
precision or a hook is another one, or that the optimiser has new parameters. So all this is compared before each step.
"""

from collections.abc import Sequence
from typing import Any

from .. import random
from ..device import current_tier
from ..gradmode import is_grad_enabled
from ..nn import Module
from ..nn.hooks import Hooks
from ..optim import Optimizer
from ..precision import current_precision
from ..variable import Variable

PLAIN = (bool, int, float, str, bytes, type(None))  # compared by value; anything else is the same object or another one
DEPTH = 4  # of containers in containers that are looked into


def situation(model: Module, optimizer: Optimizer) -> list[Any]:
    """All of it, for ``is_same``. Of the optimiser's settings only which are 0: their values are renewed each step."""
    found = [current_precision(), current_tier(), random.dropout_key(), random.first_row(), is_grad_enabled()]
    for module in model.modules():
        found += (module, type(module))
        _add(found, vars(module))
    trained = {p for group in optimizer.param_groups for p in group["params"]}
    for p in model.parameters():
        if p not in trained:
            _add(found, p.grad)  # a step adds to it
    for group in optimizer.param_groups:
        for name, value in group.items():
            if name == "params":
                _add(found, value)
            else:
                found += (name, bool(value))
        found += [optimizer.state.get(p, {}).get(name) for p in group["params"] for name in optimizer.kept]
    return found


def is_same(before: Sequence[Any], now: Sequence[Any]) -> bool:
    """Whether nothing has changed between two situations."""
    return len(before) == len(now) and all(a is b or _equal(a, b) for a, b in zip(before, now, strict=True))


def numbers_on_the_host(model: Module) -> dict[str, Any]:
    """{"layer.attribute": value} of the plain values that layers have."""
    return {
        f"{name or type(module).__name__}.{key}": value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if type(value) in PLAIN
    }


def _equal(a, b):
    return type(a) is type(b) and type(a) in PLAIN and a == b


def _add(found: list[Any], value: Any, depth: int = DEPTH) -> None:
    """To `found`: a value, or what is in it; of a Tensor, what a step sees of it."""
    if type(value) in PLAIN:  # most are
        found.append(value)
    elif isinstance(value, Variable):
        found += (value, value.data, value.requires_grad, *value.grad_hooks.values())
    elif isinstance(value, dict) and depth:
        for key, part in value.items():
            found.append(key)
            _add(found, part, depth - 1)
    elif isinstance(value, (list, tuple)) and depth:
        found.append(len(value))
        for part in value:
            _add(found, part, depth - 1)
    elif isinstance(value, Hooks):
        found += (value, *value.before, *value.after)
    else:
        found.append(value)
