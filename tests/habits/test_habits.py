"""What a PyTorch user types without thinking, by a thousand lines: it works as there, or says what to write instead.

same.txt        run with PyTorch, and with minicnn under the same names: values, shapes, dtypes must be equal, and where
                PyTorch refuses, so must we, by an error of the same kind
refused.txt     what minicnn refuses, and the beginning of the message
different.txt   what is different, and is told in docs/pytorch.md: each line must still be different

The names are those of `names` below; ⏎ stands for a new line.
"""

import ast
import copy
import math
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import minicnn
import minicnn.data

NL = "⏎"
KINDS = {  # errors that PyTorch raises as the first, and minicnn as one of the others: house style is the closer one
    "RuntimeError": (RuntimeError, ValueError, TypeError, KeyError, ZeroDivisionError),
    "IndexError": (IndexError, ValueError, TypeError),
    "NotImplementedError": (NotImplementedError, TypeError),
    "TypeError": (TypeError, ValueError),
    "AttributeError": (AttributeError, TypeError),
}


def sections(name):
    """{heading: lines} of a list."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    parts = re.split(r"^== (.+)\n", text, flags=re.M)[1:]
    return {heading: body.strip("\n").split("\n") for heading, body in zip(parts[::2], parts[1::2], strict=True)}


SAME, REFUSED, DIFFERENT = sections("same.txt"), sections("refused.txt"), sections("different.txt")


def names(library, path):
    """The names that lines use: the library as torch, and the same numbers in its Tensors."""
    rng = np.random.default_rng(0)
    make = library.from_numpy

    def normal(*shape):
        return make(rng.standard_normal(shape).astype(np.float32))

    nn = library.nn
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 5)
    )
    with library.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * normal(*parameter.shape))
    found = {"torch": library, "nn": nn, "F": nn.functional, "optim": library.optim, "model": model, "path": path}
    found |= {"np": np, "math": math, "copy": copy, "pickle": pickle}
    found |= {"x": normal(2, 3), "a": normal(2, 3), "b": normal(2, 3), "v": normal(3), "img": normal(2, 3, 8, 8)}
    found |= {"p": normal(2, 4), "i": make(rng.integers(1, 9, (2, 3))), "y": make(np.array([1, 0]))}
    found |= {"m": make(rng.random((2, 3)) > 0.5), "n": rng.standard_normal((2, 3))}
    data = minicnn.data if library is minicnn else library.utils.data
    found |= {
        "DataLoader": data.DataLoader,
        "pairs": [(rng.standard_normal(3).astype(np.float32), k) for k in range(5)],
    }
    return found | {"r": normal(2, 3).requires_grad_()}


def outcome(line, library, folder):
    """What the line's last expression gives, and all tensors and gradients after it; or the error."""
    path = folder / "file"
    path.unlink(missing_ok=True)
    scope = names(library, str(path))
    weights = list(scope["model"].parameters())
    tree = ast.parse(line.replace(NL, "\n"))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    mode = library.is_grad_enabled()
    try:
        exec(compile(tree, line, "exec"), scope)
        value = None if last is None else eval(compile(ast.Expression(last.value), line, "eval"), scope)
        tensors = [*(scope[name] for name in "xabvpiymr"), *weights]
        return [plain(value), *((plain(t), plain(getattr(t, "grad", None))) for t in tensors)]
    except Exception as error:
        return error
    finally:
        library.set_grad_enabled(mode)


def plain(value):
    """A result as values that can be compared, whichever library it is of."""
    if hasattr(value, "detach"):
        dtype = str(value.dtype).removeprefix("torch.")
        return "tensor", tuple(value.shape), dtype, value.detach().numpy().copy()
    if isinstance(value, np.ndarray):
        return "array", value.shape, str(value.dtype), value
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    kind = type(value).__name__
    return str(value).removeprefix("torch.") if kind.lower().endswith("dtype") else kind


def equal(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-4) or (math.isnan(one) and math.isnan(other))
    return one == other


def agree(theirs, ours):
    """Whether the two outcomes are the same, or errors of one kind."""
    if isinstance(theirs, Exception):
        return isinstance(ours, (type(theirs), *KINDS.get(type(theirs).__name__, ())))
    return not isinstance(ours, Exception) and equal(theirs, ours)


def shown(outcome):
    return f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else str(outcome)[:400]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("section", SAME)
def test_works_as_in_pytorch(torch, tmp_path, section):
    wrong = []
    for line in SAME[section]:
        theirs, ours = outcome(line, torch, tmp_path), outcome(line, minicnn, tmp_path)
        if not agree(theirs, ours):
            wrong.append(f"{line}\n    PyTorch: {shown(theirs)}\n    minicnn: {shown(ours)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("section", REFUSED)
def test_is_refused_with_a_message(tmp_path, section):
    wrong = []
    for line, expected in zip(REFUSED[section][::2], REFUSED[section][1::2], strict=True):
        error = outcome(line, minicnn, tmp_path)
        if not isinstance(error, Exception) or expected.strip() not in shown(error).replace("'", ""):
            wrong.append(f"{line}\n    expected: {expected.strip()}\n    found: {shown(error)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("section", DIFFERENT)
def test_is_different_and_told(torch, tmp_path, section):
    lines = DIFFERENT[section]
    page = (Path(__file__).parents[2] / "docs" / "pytorch.md").read_text(encoding="utf-8")
    assert section in page
    same = [line for line in lines if agree(outcome(line, torch, tmp_path), outcome(line, minicnn, tmp_path))]
    assert not same, f"no longer different: {same}"


def test_there_are_enough_of_them():
    lines = [line for part in SAME.values() for line in part]
    assert len(lines) == len(set(lines)) > 900
    assert sum(len(part) // 2 for part in REFUSED.values()) > 200
