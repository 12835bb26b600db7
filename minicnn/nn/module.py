"""Module: a layer, or a network of layers, that knows its parameters, its buffers and its mode."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..absent import with_absent_names
from ..device import to_device
from ..dtypes import device_and_dtype
from ..precision import BFLOAT16
from ..settings import flag
from ..tensor import Tensor
from ..types import DTypeLike
from .attributes import Attributes, refuse_hidden
from .hooks import Handle, Hook, Hooks
from .parameter import Parameter
from .state import IncompatibleKeys, load_state

__all__ = ["Module", "Parameter"]


@with_absent_names
class Module(Attributes):
    """The base of every layer and network.

    A subclass sets its Parameters, buffers and Modules as attributes (``attributes.py``), in ``__init__`` after
    ``super().__init__()``, and writes ``forward``. Attribute names, joined by dots, are the keys of ``state_dict()``.
    """

    training = True
    frozen = False
    _hooks: Hooks | None = None  # from the first hook on

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """What a subclass computes; ``module(x)`` calls it, with the hooks around it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method; write one, or call its parts")

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        if not self._hooks:  # almost always
            return self.forward(*inputs, **keywords)  # what a subclass writes
        return self._hooks.call(self, inputs, keywords)

    # Hooks (hooks.py)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call hook(module, inputs, output) after each ``output = module(*inputs)``; what it returns, unless that is
        None, takes the output's place. The Handle's ``remove()``, or its ``with`` block, ends it.

        prepend: before the hooks that are there. with_kwargs: hook(module, inputs, keywords, output).
        """
        return self._hook(Hook("forward hook", hook, with_kwargs), prepend)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call hook(module, inputs) before each ``module(*inputs)``; what it returns, a tuple or the only one, unless
        that is None, takes the inputs' place. With keywords: hook(module, inputs, keywords), and it returns both."""
        return self._hook(Hook("forward pre-hook", hook, with_kwargs), prepend)

    def _hook(self, hook, prepend=False):
        if self._hooks is None:
            self.__dict__["_hooks"] = Hooks()
        return self._hooks.add(hook, prepend)

    def __copy__(self):
        """Of the same parts, with the hooks; what is set on one, or hooked to it, is not on the other."""
        other = super().__copy__()
        other.__dict__["_hooks"] = copy.copy(self._hooks)
        return other

    # What it is made of. What has several names is given once, by the first, unless remove_duplicate=False

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules that are attributes of this one."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:  # None: a name left empty
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(dotted name, module) for this module, named "", and all below it."""
        seen, waiting = set(), [(prefix, self)]  # waiting: a stack; the last one comes next
        while waiting:
            name, module = waiting.pop()
            if remove_duplicate and id(module) in seen:  # a module that several names share
                continue
            seen.add(id(module))
            yield name, module  # before what is below it
            if parts := module._modules:
                dot = f"{name}." if name else ""
                waiting.extend((dot + key, part) for key, part in reversed(parts.items()) if part is not None)

    def modules(self) -> Iterator[Module]:
        """This module, and all below it."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, Parameter) of this module and, with `recurse`, all below it. TypeError where one of them has
        layers or Parameters in a list (or the like), which would not be among them."""
        return self._named("_parameters", prefix=prefix, recurse=recurse, remove_duplicate=remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """As ``named_parameters``, without the names: what an optimiser takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, Tensor) of this module and, with `recurse`, all below it."""
        return self._named("_buffers", prefix=prefix, recurse=recurse, remove_duplicate=remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """As ``named_buffers``, without the names."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, *tables, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        for name, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            if module._lists:  # lists among its attributes: layers in there would go untrained
                refuse_hidden(self, module)
            for key, tensor in (entry for table in tables for entry in getattr(module, table).items()):
                if tensor is not None and not (remove_duplicate and id(tensor) in seen):
                    seen.add(id(tensor))
                    yield f"{name}.{key}" if name else key, tensor

    def get_submodule(self, target: str) -> Module:
        """The module of that dotted name; AttributeError if there is none."""
        modules = dict(self.named_modules(remove_duplicate=False))  # by all of their names
        if target not in modules:
            raise AttributeError(f"{type(self).__name__} has no module {target!r}; it has {', '.join(modules)}")
        return modules[target]

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Call function(module) for every module, parts before the whole. Returns the module."""
        for child in self.children():
            child.apply(function)  # down to the layers first
        function(self)
        return self

    # Its state

    def state_dict(self) -> dict[str, Tensor]:
        """{key: Tensor} of parameters and buffers, sharing their memory; a tied one under each of its names."""
        both = self._named("_parameters", "_buffers", remove_duplicate=False)  # layer by layer
        return {key: tensor.detach() for key, tensor in both}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values in, by key: anything that ``np.asarray`` takes, cast to the parameter's dtype.

        Every key and every shape must agree, both ways; otherwise KeyError or ValueError, and nothing is changed. Not
        strict: keys that only one of the two has are passed over. Returns (missing_keys, unexpected_keys), without
        ``num_batches_tracked``, which PyTorch's batch norm counts and nothing here uses.
        """
        return load_state(type(self).__name__, self.state_dict(), state, strict)

    # Its mode and its place

    def train(self, mode: bool = True) -> Self:
        """Training mode: dropout drops, batch norm uses the batch's statistics. Returns the module."""
        if not isinstance(mode, (bool, np.bool_)):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Evaluation mode: dropout drops nothing, batch norm uses its running statistics. Returns the module."""
        return self.train(False)

    def freeze(self, frozen: bool = True) -> Self:
        """Exclude every parameter below from training, and compute as in evaluation, whatever the mode: batch norm
        keeps its running statistics as they are, and uses them; dropout drops nothing. Returns the module."""
        frozen = flag(self, "frozen", frozen)
        for module in self.modules():
            module.frozen = frozen  # layers ask for it beside `training`
        return self.requires_grad_(not frozen)  # so that backward works out nothing for them

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Include every parameter below in training, or exclude it. Returns the module."""
        requires_grad = flag(self, "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(
        self, *where: Any, device: str | None = None, dtype: DTypeLike | None = None, non_blocking: bool = False
    ) -> Self:
        """Move parameters, their gradients and buffers to a device, convert those of floats to float32 or float64, or
        both, in place: ``to("cuda")``, ``to(minicnn.float64)``. Returns the module."""
        owner = f"{type(self).__name__}.to"
        to_device_, to_dtype = device_and_dtype(owner, where, device, dtype)
        if to_dtype is not None and to_dtype.kind != "f":
            way_out = "; minicnn.set_precision computes in it, with float32 weights" if to_dtype == BFLOAT16 else ""
            raise TypeError(f"{owner}: parameters are float32 or float64, not {to_dtype}{way_out}")

        def convert(array):
            array = array if to_device_ is None else to_device(array, to_device_)
            return array if to_dtype is None or array.dtype.kind != "f" else array.astype(to_dtype, copy=False)

        return self._convert(convert)

    def astype(self, dtype: DTypeLike) -> Self:
        """``module.to(dtype)``."""
        return self.to(dtype=dtype)

    def float(self) -> Self:
        """``module.to(minicnn.float32)``."""
        return self.to(dtype=np.float32)

    def double(self) -> Self:
        """``module.to(minicnn.float64)``."""
        return self.to(dtype=np.float64)

    def cpu(self) -> Self:
        """``module.to("cpu")``."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """``module.to("cuda")``."""
        return self.to("cuda")

    def _convert(self, convert):
        """Every array is converted before the first one is exchanged: an error in between changes nothing."""
        tensors = [*self.parameters(), *self.buffers()]
        tensors += [parameter.grad for parameter in self.parameters() if parameter.grad is not None]
        for tensor, array in [(tensor, convert(tensor.data)) for tensor in tensors]:
            tensor.data = array  # the Tensor stays: optimisers know it
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every gradient; or fill those that there are with zeros, to which backward then adds."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad[...] = 0

    def __repr__(self):
        """The tree of modules, as its ``extra_repr`` methods describe them."""
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        body = "\n  " + "\n  ".join(lines) + "\n" if lines else self.extra_repr()  # each level two spaces further in
        return f"{type(self).__name__}({body})"

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets of a layer without children."""
        return ""
