"""Lists and dicts of layers and of Parameters, which a network finds in them: PyTorch's, by the same names.

    Sequential       modules that run one after the other
    ModuleList       modules by number, ModuleDict by name: how they run is up to the network's own ``forward``
    ParameterList    Parameters by number, ParameterDict by name

What is not of the kind is refused at once, so that no layer is left out without a word.
"""

import itertools
import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self

from .attributes import described
from .module import Module
from .parameter import Parameter


class _Container(Module):
    """Entries by name, in order: in the table `_table`, of the class `_kind`."""

    _table = "_modules"
    _kind: type = Module

    def _entries(self):
        return self.__dict__[self._table]

    def _check(self, name, value):
        if not isinstance(value, self._kind):
            what = described(value) if self._kind is Module else f"a {type(value).__name__}; wrap it in nn.Parameter()"
            raise TypeError(f"{type(self).__name__}: entry {name} must be a {self._kind.__name__}, not {what}")

    def _put(self, values):
        """Entries by name; none is put in if one is of another kind."""
        for name, value in values.items():
            self._check(name, value)
        for name, value in values.items():
            self._register(self._table, name, value)

    def __len__(self) -> int:
        return len(self._entries())

    def __repr__(self):
        if self._kind is Module:
            return super().__repr__()
        return f"{type(self).__name__}({', '.join(f'({name}): {p.shape}' for name, p in self._entries().items())})"


class _List(_Container):
    """Entries named "0", "1", ...; an index may be negative or a slice, as a list's."""

    def __init__(self, values: Iterable = ()) -> None:
        super().__init__()
        self.extend(values)

    def __iter__(self) -> Iterator:
        return iter(self._entries().values())

    def __contains__(self, value):
        return any(value is each for each in self)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._entries()[self._name(index)]

    def __setitem__(self, index, value):
        """Put another in the place of one: ``model.classifier[6] = nn.Linear(4096, 10)``."""
        self._check(index, value)
        self._register(self._table, self._name(index), value)

    def __delitem__(self, index):
        names = list(self._entries())[index] if isinstance(index, slice) else [self._name(index)]
        self._arrange([(name, value) for name, value in self._entries().items() if name not in names])

    def append(self, value: Any) -> Self:
        """Add one at the end. Returns the list."""
        return self.extend([value])

    def extend(self, values: Iterable) -> Self:
        """Add several at the end; TypeError, and none is added, if one is of another kind. Returns the list."""
        for value in self._checked(values):
            self._register(self._table, self._free_number(), value)
        return self

    __iadd__ = extend

    def insert(self, index: int, value: Any) -> Self:
        """Add one before what stands at `index`. Returns the list."""
        self._check(index, value)
        entries = list(self._entries().items())
        entries.insert(operator.index(index), (self._free_number(), value))
        self._arrange(entries)
        return self

    def pop(self, index: int = -1) -> Any:
        """Remove one, and return it."""
        value = self[index]
        del self[index]
        return value

    def _checked(self, values):
        if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
            kinds = f"{self._kind.__name__}s"
            raise TypeError(f"{type(self).__name__}: takes a list of {kinds}, not a {type(values).__name__}")
        values = list(values)
        for position, value in enumerate(values, start=len(self)):
            self._check(position, value)
        return values

    def _free_number(self):
        """The name of an entry at the end: how many there are, unless that is taken, as it may be in a slice."""
        return next(name for name in map(str, itertools.count(len(self))) if name not in self._entries())

    def _name(self, index):
        """The name of the entry at a position."""
        names, index = list(self._entries()), operator.index(index)
        if not -len(names) <= index < len(names):
            raise IndexError(f"{type(self).__name__}: there is no entry {index}, it has {len(names)}")
        return names[index]

    def _arrange(self, entries):
        """These, in this order. Numbers are counted anew; a Sequential may have names, which stay."""
        if all(name.isdigit() for name, _ in entries):
            entries = [(str(i), value) for i, (_, value) in enumerate(entries)]
        for name in list(self._entries()):
            delattr(self, name)
        for name, value in entries:
            self._register(self._table, name, value)


class _Dict(_Container):
    """Entries by names of one's own, in the order in which they were put in."""

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self.update(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries())

    def __contains__(self, name):
        return name in self._entries()

    def __getitem__(self, name: str) -> Any:
        return self._entries()[name]

    def __setitem__(self, name, value):
        self.update({name: value})

    def __delitem__(self, name):
        if name not in self:
            raise KeyError(name)
        delattr(self, name)

    def keys(self) -> KeysView[str]:
        """The names, in order."""
        return self._entries().keys()

    def values(self) -> ValuesView:
        """The entries, in order."""
        return self._entries().values()

    def items(self) -> ItemsView:
        """(name, entry), in order."""
        return self._entries().items()

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Put in what a dict, or a list of (name, value), has; TypeError, and none is, if one is of another kind."""
        self._put(dict(values))

    def pop(self, name: str) -> Any:
        """Remove one, and return it."""
        value = self[name]
        del self[name]
        return value

    def clear(self) -> None:
        """Remove all."""
        for name in list(self):
            del self[name]


class Sequential(_List):
    """Feeds its input through the modules in order. They are named "0", "1", ..., or as in the dict that is given; they
    can be indexed, sliced, exchanged and deleted by position. A slice keeps the names."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._put(modules[0])
        else:
            self.extend(modules)

    def forward(self, x):
        for module in self:
            x = module(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(dict(list(self._entries().items())[index]))
        return super().__getitem__(index)


class ModuleList(_List):
    """Modules by number, which the network's ``forward`` calls as it likes."""


class ModuleDict(_Dict):
    """Modules by name, which the network's ``forward`` calls as it likes."""


class ParameterList(_List):
    """Parameters by number."""

    _table, _kind = "_parameters", Parameter


class ParameterDict(_Dict):
    """Parameters by name."""

    _table, _kind = "_parameters", Parameter
