"""What the optimisers share: groups of parameters, the step that brings arrays together, saving and restoring.

The page of an optimiser (sgd.py, adam.py) has the formula, and a function that changes lists of arrays by it. ``step``
looks at everything first, and then calls that function once for all parameters on one device, of one dtype: many
parameters are one launch, or one pass.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ..absent import refuse_keywords
from ..device import current_tier, device_of, implementation, naming_memory_errors, to_device
from ..gradmode import enable_grad
from ..settings import flag
from ..types import Array
from ..variable import Variable
from .groups import as_groups, checked_group
from .state import belong_together, check_loss, checked_state, unequal


class Optimizer:
    """Changes parameters by their gradients; SGD and Adam say how.

    param_groups   dicts of the parameters and their settings, which may be changed between two steps: schedules set lr
    state          what is kept for each parameter: state[parameter]["velocity"], an array
    defaults       the settings that a group has where it says nothing
    """

    update: ClassVar[Callable[..., None]]  # (parameters, gradients, a list for each of `kept`, settings), in place
    kept: ClassVar[dict[str, str]]  # names of arrays in a parameter's state: names of their lists in ``state_dict``
    counted: ClassVar[dict[str, str]] = {}  # likewise of whole numbers from 1 on
    replayed: ClassVar[bool] = True  # whether a step on a GPU is launches alone, which a CUDA graph can replay

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        refuse_keywords(cls, keywords)  # PyTorch's maximize=, for instance
        return super().__new__(cls)

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self.defaults = self.checked_settings(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Variable, dict[str, Any]] = defaultdict(dict)
        for group in as_groups(self._name, params):
            self.add_param_group(group)

    # What an optimiser says of itself

    def checked_settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """{name: Python's own number} of the settings; TypeError or ValueError for one that cannot be. (A NaN among
        them would spread into every weight.)"""
        raise NotImplementedError(f"{self._name} does not say what its settings may be")

    def prepared(self, w: Array, state: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """(the state with which the parameter w goes into its next step, the row of `settings` for ``update``)."""
        raise NotImplementedError(f"{self._name} does not say what its next step needs")

    def check_kept(self, what: str, kept: Mapping[str, Any]) -> None:
        """ValueError, beginning with `what`, if this cannot have been kept for one parameter."""

    def change(self, device: str, lists: list[list[Any]], rows: list[Any], loss: Array | None) -> None:
        """``update`` of arrays of one dtype on one device: lists of parameters, gradients, and each of `kept`."""
        implementation(self.update, device, current_tier())(*lists, rows, loss)

    # What is done with any

    def add_param_group(self, group: Any) -> None:
        """Train more parameters from now on: {"params": [...], and the settings that are not the optimiser's}."""
        group = checked_group(self._name, group, self.defaults, self._parameters())
        self.param_groups.append({**group, **self.checked_settings(group)})

    def step(self, closure: Callable[[], Any] | None = None, *, loss: Variable | None = None) -> Any:
        """Change every parameter that has a gradient: all those on one device, of one dtype, in one call.

        closure: a function that works out the gradients first; the loss that it returns is returned.
        loss: a Tensor () that is not to be waited for: where it is not finite, no parameter is changed.
        TypeError or ValueError, and nothing is changed, where an array or a setting has become what it cannot be.
        """
        result = None
        if closure is not None:
            with enable_grad():
                result = closure()
        together: dict[Any, list] = {}  # (device, dtype) -> what one call of `update` changes
        with naming_memory_errors(f"{self._name}.step"):
            for number, group in enumerate(self.param_groups):
                settings = self.checked_settings(group)  # schedules and users change them
                for i, parameter in enumerate(group["params"]):
                    if (grad := parameter.grad) is not None:  # None: it is frozen, or had no part in the loss
                        w = parameter.data
                        state, row = self.prepared(w, self.state[parameter], settings)
                        arrays = w, grad.data, *map(state.get, self.kept)
                        if not belong_together(*arrays):  # a kernel would read beyond the shorter one
                            raise unequal(self, f"parameter {i} of group {number}", *arrays)
                        together.setdefault((device_of(w), w.dtype), []).append((parameter, state, arrays, row))
        if loss is not None:
            check_loss(f"{self._name}.step", loss, [device for device, _ in together])
        # all is looked at, and nothing is changed yet
        for (device, _), members in together.items():
            parameters, states, arrays, rows = zip(*members, strict=True)
            with np.errstate(under="ignore"):  # too small a number is 0, as it should
                lists = list(map(list, zip(*arrays, strict=True)))
                self.change(device, lists, list(rows), None if loss is None else loss.data)
            for parameter, state in zip(parameters, states, strict=True):
                parameter.version.count += 1  # a graph that has saved it will notice
                self.state[parameter].update(state)
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every gradient, so that the next backward pass starts from nothing.

        set_to_none    False: gradients become zeros, so that ``step`` still changes those parameters, by what it keeps
        """
        forget = flag(f"{self._name}.zero_grad", "set_to_none", set_to_none)
        for parameter in self._parameters():
            if parameter.grad is not None:
                parameter.grad = None if forget else parameter.like(np.zeros_like(parameter.grad.data))

    # Saving and restoring

    def state_dict(self) -> dict[str, Any]:
        """The settings of each group, and a list for each thing kept (sharing memory), in the order of the parameters:
        None where a parameter has none."""
        groups = [{key: value for key, value in g.items() if key != "params"} for g in self.param_groups]
        states = [self.state[parameter] for parameter in self._parameters()]
        names = {**self.kept, **self.counted}
        return {"groups": groups} | {several: [state.get(one) for state in states] for one, several in names.items()}

    def load_state_dict(self, state: Any) -> None:
        """Continue from ``state_dict``; ValueError or TypeError, and nothing changed, if its parameters are not these
        or it is damaged."""
        settings, states = checked_state(self, state)
        loaded: dict[Variable, dict[str, Any]] = defaultdict(dict)
        for parameter, saved in zip(self._parameters(), states, strict=True):
            for name, value in saved.items():
                loaded[parameter][name] = value if name in self.counted else _as(parameter, value)
        self.state = loaded
        for group, saved in zip(self.param_groups, settings, strict=True):
            group.update(saved)

    def __repr__(self) -> str:
        """The settings of each group, as PyTorch prints them."""
        text = ""
        for number, group in enumerate(self.param_groups):
            settings = sorted((key, value) for key, value in group.items() if key != "params")
            text += f"\nParameter Group {number}\n" + "".join(f"    {key}: {value}\n" for key, value in settings)
        return f"{self._name} ({text})"

    @property
    def _name(self):
        return type(self).__name__

    def _parameters(self):
        return [p for group in self.param_groups for p in group["params"]]


def _as(parameter, array):
    """A copy of `array`, of the parameter's dtype and where the parameter is."""
    return to_device(np.array(to_device(array, "cpu"), dtype=parameter.dtype), parameter.device)
