"""Calls of every function of an element-wise page: an op that is added to such a page has its kernels compared."""

import inspect


def calls(page, array):
    """(function, *arguments) for each ``..._forward`` and ``..._backward`` of `page`, a module of ``minicnn.ops``.

    array: called without arguments, it makes the next one; an ``out`` is None, a ``slope`` 0.1.
    """
    others = {"out": None, "slope": 0.1}
    functions = [value for name, value in vars(page).items() if name.endswith(("_forward", "_backward"))]
    assert functions, f"{page.__name__} has no functions"
    return [
        (function, *(others[name] if name in others else array() for name in inspect.signature(function).parameters))
        for function in functions
    ]
