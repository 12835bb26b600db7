"""Every op is called as in torch.nn.functional: the same names, in the same order, with the same defaults."""

import inspect
import re

import pytest

import minicnn.functional as F

OWN = {"residual_add"}  # not in PyTorch


def parameters(function):
    """{name: default}, from the signature or, for a compiled function, from the first line of its documentation."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        signature = None
    if signature is None or "args" in signature.parameters:
        line = re.search(r"\w+(\(.*?\))(?: ->|\n)", function.__doc__).group(1).replace(", *,", ",")
        signature = inspect.signature(eval(f"lambda {line[1:-1]}: None"))
    return {p.name: p.default for p in signature.parameters.values()}


@pytest.mark.parametrize("name", sorted(set(F.__all__) - OWN))
def test_signature_is_pytorchs(torch, name):
    ours = parameters(getattr(F, name))
    theirs = parameters(getattr(torch.nn.functional, name, None) or getattr(torch, name))
    assert list(ours) == [parameter for parameter in theirs if parameter in ours]
    for parameter, default in ours.items():
        if default is not inspect.Parameter.empty:
            assert default == theirs[parameter], parameter


def test_everything_is_listed():
    functions = {name for name, value in vars(F).items() if inspect.isfunction(value)}
    assert functions == set(F.__all__)
