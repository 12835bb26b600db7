"""The check that an op's function begins with, before it looks at shapes."""

from ..autograd import Variable


def check_tensors(op, required, optional=None):
    """TypeError, by name, for an argument of `op` that is no Tensor; an optional one may be None."""
    given = {name: value for name, value in (optional or {}).items() if value is not None}
    for name, value in {**required, **given}.items():
        if not isinstance(value, Variable):
            raise TypeError(f"{op}: {name} is a {type(value).__name__}, not a Tensor; wrap it in minicnn.Tensor(...)")
