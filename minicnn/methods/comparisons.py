"""Comparisons and logic: ``a < b``, ``(a > 0) & (a < 1)``. Their results are outside the graph."""

from typing import Any, Self

from ..variable import Variable


class Comparisons(Variable):
    """A Variable whose elements are compared one by one, with a number, an array or another Variable."""

    def __lt__(self, other: Any) -> Self:
        return self.like(self.data < _values(other))

    def __le__(self, other: Any) -> Self:
        return self.like(self.data <= _values(other))

    def __gt__(self, other: Any) -> Self:
        return self.like(self.data > _values(other))

    def __ge__(self, other: Any) -> Self:
        return self.like(self.data >= _values(other))

    def __eq__(self, other: object) -> Any:
        return False if other is None else self.like(self.data == _values(other))

    def __ne__(self, other: object) -> Any:
        return True if other is None else self.like(self.data != _values(other))

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Self:
        return self.like(self.data & _values(other))

    def __or__(self, other: Any) -> Self:
        return self.like(self.data | _values(other))

    def __xor__(self, other: Any) -> Self:
        return self.like(self.data ^ _values(other))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Self:
        return self.like(~self.data)


def _values(other):
    return other.data if isinstance(other, Variable) else other
