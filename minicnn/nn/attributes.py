"""The attributes of a Module: which of them are parameters, buffers and modules of it. The rules are PyTorch's.

    self.scale = Parameter(...)        a parameter: trained and saved
    self.conv = Conv2d(...)            a module of this one: what it has is trained and saved
    self.register_buffer("mean", t)    a buffer: saved, not trained
    self.size = 3                      an ordinary attribute

A name that is registered stays of its kind: None leaves it empty, ``del`` removes it, and what is of another kind is a
TypeError, where it would silently be trained and saved no more. Only a new Parameter, or a Module in the place of a
Module or of a buffer, may change what a name stands for. A plain value of the class, ``norm = None``, is a default, as
in any Python class; a property with a setter sets what its setter sets.
"""

from __future__ import annotations

import collections
import inspect
from typing import Any, Self

import numpy as np

from ..absent import Absent, refuse_keywords
from ..tensor import Tensor
from .parameter import Parameter

TABLES = ("_parameters", "_buffers", "_modules")  # {name: value} each; the value is an attribute like any other, too
CONTAINERS = (list, tuple, set, frozenset, dict, collections.deque, np.ndarray)


class _Table(dict):
    """One of the tables. Its names are attributes, too: writing into it alone would leave the old one in use."""

    def _refuse(self, *_args, **_keywords):
        advice = "set or delete the attribute: setattr(module, name, part), delattr(module, name)"
        raise TypeError(f"the tables of a module's parts are not written into; {advice}")

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self):  # a copy is made at once, not filled one by one
        return _Table, (dict(self),)


class _NotYet:
    """Stands where ``__init__`` will put a table."""

    def __get__(self, module, kind):
        raise AttributeError(f"{kind.__name__}: call super().__init__() first")


class _Constructed:
    """Looks at the keywords that an instance is made of. Above Attributes, whose ``__init__`` tells the signature."""

    def __new__(cls, *args: Any, **keywords: Any) -> Self:
        if keywords and cls.__module__.startswith(__package__):  # layers of one's own may take what they like
            refuse_keywords(cls, keywords)
        return super().__new__(cls)


class Attributes(_Constructed):
    """What Module is built on: three tables of names, kept as attributes are set and deleted."""

    _parameters = _buffers = _modules = _NotYet()
    _lists: frozenset[str] = frozenset()  # attributes that are lists or the like; layers may be put in later

    def __init__(self) -> None:
        self.__dict__.update({table: _Table() for table in TABLES})

    def __setattr__(self, name, value):
        here = self._table_of(name)
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
        elif isinstance(value, Parameter):
            self._register("_parameters", name, value, replace=True)
        elif isinstance(value, Attributes) and here != "_parameters":
            self._register("_modules", name, value, replace=True)
        elif here is None:
            if isinstance(value, CONTAINERS):
                _refuse_hidden(self, self, name, value)
                if not isinstance(value, tuple):
                    object.__setattr__(self, "_lists", self._lists | {name})
            object.__setattr__(self, name, value)
        elif value is None or (here == "_buffers" and isinstance(value, Tensor)):
            self._register(here, name, value, replace=True)
        else:
            raise TypeError(f"{type(self).__name__}.{name} {_MAY_BECOME[here]}, not a {type(value).__name__}")

    def __delattr__(self, name):
        here = self._table_of(name)
        object.__delattr__(self, name)
        if here is not None:
            dict.__delitem__(self.__dict__[here], name)

    def __copy__(self):
        """Of the same parameters and modules, but what is set on one is not set on the other."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update({table: _Table(self.__dict__[table]) for table in TABLES})
        return copy

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """A Parameter under that name; None: there is none, but there may be, as a layer's bias."""
        if not (parameter is None or isinstance(parameter, Parameter)):
            raise TypeError(f"register_parameter: {name!r} must be a Parameter or None; wrap it in nn.Parameter(...)")
        self._register("_parameters", name, parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A Tensor that belongs to the state but is not trained, such as a running mean; None: it is absent."""
        if not persistent:
            raise TypeError(f"register_buffer: every buffer is saved; what shall not be: vars(self)[{name!r}] = tensor")
        if not (tensor is None or isinstance(tensor, Tensor)):
            what = f"{name!r} must be a Tensor or None, not a {type(tensor).__name__}"
            raise TypeError(f"register_buffer: {what}; wrap it in minicnn.Tensor(...)")
        self._register("_buffers", name, tensor)

    def register_module(self, name: str, module: Attributes | None) -> None:
        """A Module under that name; None: there is none, but there may be."""
        if not (module is None or isinstance(module, Attributes)):
            raise TypeError(f"register_module: {name!r} must be a Module or None, not {described(module)}")
        self._register("_modules", name, module)

    add_module = register_module

    def _table_of(self, name):
        """The table that has the name; None where it is not registered."""
        for table in TABLES:
            if name in self.__dict__.get(table, ()):
                return table
        return None

    def _register(self, table, name, value, replace=False):
        """Put it there, and take away what stood under that name if it may be replaced."""
        owner = type(self).__name__
        if table not in self.__dict__:
            raise AttributeError(f"{owner}: call super().__init__() before setting {name!r}")
        if not isinstance(name, str):
            raise TypeError(f"{owner}: a name must be a str, got {name!r}")
        if "." in name or not name:
            raise KeyError(f"{owner}: {name!r} cannot be a name: it is empty, or has a dot, which joins names")
        if _is_of_the_class(type(self), name):
            raise KeyError(f"{owner}: {name!r} is a method, a property or a setting of the class; take another name")
        if not replace and name in self.__dict__ and self._table_of(name) != table:
            raise KeyError(f"{owner}: there is an attribute {name!r} already; delete it first, or take another name")
        if table == "_modules" and value is not None and any(module is self for module in value.modules()):
            raise ValueError(f"{owner}.{name}: a module cannot have a part that it is itself a part of")
        for other in TABLES:
            if other != table:
                dict.pop(self.__dict__[other], name, None)
        dict.__setitem__(self.__dict__[table], name, value)
        self.__dict__[name] = value


_MAY_BECOME = {
    "_parameters": "is a Parameter and may become another nn.Parameter(...) or None (to change its values, write into "
    "its .detach()[...])",
    "_buffers": "is a buffer and may become another Tensor or None",
    "_modules": "is a Module and may become another Module or None",
}


def _is_of_the_class(kind, name):
    """Whether instances cannot do without what the class has by that name: methods, properties, and all that minicnn's
    own classes have."""
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, Absent):  # a name that PyTorch has and minicnn has not: it is free
        return False
    own = (base for base in kind.__mro__ if base.__module__.startswith(__package__))
    return hasattr(type(found), "__get__") or any(name in vars(base) for base in own)


def refuse_hidden(root: Attributes, module: Attributes) -> None:
    """TypeError if `module`, a part of `root`, has a list (or the like) of layers or Parameters which `root` does not
    have otherwise: they would be neither trained nor saved. A list may have been filled after it was set."""
    for name in module._lists:
        if isinstance(value := vars(module).get(name), CONTAINERS):
            _refuse_hidden(root, module, name, value)


def described(value: object) -> str:
    """What was given in the place of a Module, and the way out, for an error message."""
    if isinstance(value, type):
        return f"the class {value.__name__}; make one: {value.__name__}(...)"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__}; give its entries one by one: *layers"
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        return f"the function {name}; take the layer for it, such as nn.ReLU() for F.relu, or write a Module"
    return "None; nn.Identity() is a layer that does nothing" if value is None else f"a {type(value).__name__}"


def _entries(container):
    if isinstance(container, np.ndarray):
        return container.flat if container.dtype == object else ()
    return container.values() if isinstance(container, dict) else container


def _refuse_hidden(root, module, name, value):
    """The same for one attribute: what is in it, however deep, must be of `root`."""
    found, seen, waiting = [], set(), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (Attributes, Parameter)):
            found.append(each)
        elif isinstance(each, CONTAINERS) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(_entries(each))
    if not found:
        return
    modules = list(root.modules())
    own = {id(part) for part in modules} | {id(p) for part in modules for p in part._parameters.values()}
    if hidden := [each for each in found if id(each) not in own]:
        what, kind = type(hidden[0]).__name__, "Dict" if isinstance(value, dict) else "List"
        is_parameter = isinstance(hidden[0], Parameter)
        raise TypeError(
            f"{type(module).__name__}.{name} is a {type(value).__name__} with a {what} in it, which parameters() and "
            "state_dict() would not find; make it an "
            + (f"nn.Parameter{kind}(...)" if is_parameter else f"nn.Module{kind}(...), or an nn.Sequential")
            + f"; what shall be neither trained nor saved: vars(self)[{name!r}] = ..."
        )
