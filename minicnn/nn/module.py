"""Module: a layer, or a network of layers, that knows its parameters, its buffers and its mode."""

import numpy as np

from ..tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module trains: it requires a gradient and is found by ``parameters()``."""

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad)


class Module:
    """The base of every layer and network.

    A subclass sets its Parameters, buffers and Modules as attributes, in ``__init__`` after ``super().__init__()``, and
    writes ``forward``. Attribute names, joined by dots, are the keys of ``state_dict()``, as in PyTorch.
    """

    def __init__(self):
        self._parameters, self._buffers, self._modules = {}, {}, {}
        self.training = True
        self.frozen = False

    def __setattr__(self, name, value):
        for kind, table in ((Parameter, "_parameters"), (Module, "_modules")):
            if isinstance(value, kind):
                if table not in self.__dict__:
                    raise AttributeError(f"{type(self).__name__}: call super().__init__() before setting {name!r}")
                self.__dict__[table][name] = value
            else:
                self.__dict__.get(table, {}).pop(name, None)  # what stood there before
        if isinstance(value, Tensor) and name in self.__dict__.get("_buffers", {}):
            self._buffers[name] = value
        super().__setattr__(name, value)

    def register_buffer(self, name, tensor):
        """A Tensor that belongs to the state but is not trained, such as a running mean."""
        self._buffers[name] = tensor
        super().__setattr__(name, tensor)

    def forward(self, *inputs):
        raise TypeError(f"{type(self).__name__} has no forward method")

    def __call__(self, *inputs):
        return self.forward(*inputs)

    # What it is made of

    def children(self):
        """The modules that are attributes of this one."""
        return iter(self._modules.values())

    def named_modules(self, prefix=""):
        """(dotted name, module) for this module, named "", and all below it."""
        yield prefix, self
        for name, child in self._modules.items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self):
        return (module for _, module in self.named_modules())

    def named_parameters(self):
        """(dotted name, Parameter) of this module and all below it."""
        return self._named("_parameters")

    def parameters(self):
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self):
        return self._named("_buffers")

    def buffers(self):
        return (buffer for _, buffer in self.named_buffers())

    def _named(self, table):
        for prefix, module in self.named_modules():
            for name, tensor in getattr(module, table).items():
                yield (f"{prefix}.{name}" if prefix else name), tensor

    # Its state

    def state_dict(self):
        """{key: Tensor} of parameters and buffers, sharing their memory."""
        return {key: t.detach() for table in ("_parameters", "_buffers") for key, t in self._named(table)}

    def load_state_dict(self, state):
        """Copy values in, by key: anything that ``np.asarray`` takes, cast to the parameter's dtype.

        Every key and every shape must agree, both ways; otherwise KeyError or ValueError, and nothing is changed. Only
        ``num_batches_tracked``, which PyTorch's batch norm counts and nothing here uses, is passed over.
        """
        own = self.state_dict()
        state = {key: value for key, value in state.items() if key.rpartition(".")[2] != "num_batches_tracked"}
        missing, surplus = [key for key in own if key not in state], [key for key in state if key not in own]
        if missing or surplus:
            raise KeyError(
                f"load_state_dict: the state is of another model than this {type(self).__name__}: "
                f"{len(missing)} keys are missing{_some(missing)}, {len(surplus)} are surplus{_some(surplus)}"
            )
        arrays = {key: np.asarray(value) for key, value in state.items()}
        wrong = [
            f"{key}: {arrays[key].shape}, not {own[key].shape}" for key in own if arrays[key].shape != own[key].shape
        ]
        if wrong:
            raise ValueError(
                f"load_state_dict: {len(wrong)} shapes differ from this {type(self).__name__}'s{_some(wrong)}"
            )
        new = {key: Tensor(arrays[key].astype(tensor.dtype)).to(tensor.device) for key, tensor in own.items()}
        for key, tensor in own.items():
            tensor[...] = new[key]

    # Its mode and its place

    def train(self, mode=True):
        """Training mode: dropout drops, batch norm uses the batch's statistics. Returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Evaluation mode, the opposite."""
        return self.train(False)

    def freeze(self, frozen=True):
        """Exclude every parameter below from training, and compute as in evaluation, whatever the mode: batch norm
        keeps its running statistics as they are, and uses them; dropout drops nothing. Returns the module."""
        for module in self.modules():
            module.frozen = frozen
        for parameter in self.parameters():
            parameter.requires_grad_(not frozen)
        return self

    def to(self, device):
        """Move parameters and buffers to `device`, in place. Returns the module."""
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.data = tensor.to(device).data
        return self

    def astype(self, dtype):
        """Convert parameters and buffers to float32 or float64, in place. Returns the module."""
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.data = tensor.data.astype(dtype)
        return self

    def zero_grad(self):
        """Forget every gradient."""
        for parameter in self.parameters():
            parameter.grad = None

    def __repr__(self):
        """The tree of modules, as its ``extra_repr`` methods describe them."""
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._modules.items()]
        body = "\n  " + "\n  ".join(lines) + "\n" if lines else self.extra_repr()
        return f"{type(self).__name__}({body})"

    def extra_repr(self):
        """What ``repr`` shows between the brackets of a layer without children."""
        return ""


def _some(names):
    """The first few of a list of names, for an error message."""
    if not names:
        return ""
    return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
