"""The rules of the house: imports go downwards, few functions take many arguments, what is public is described."""

import ast
import collections
import functools
import graphlib
import importlib
import inspect
import os
import re
from pathlib import Path

import pytest
from paths import ROOT

from minicnn import Function

HALLS = {"minicnn", "kernels", "kernels/cpu", "kernels/cuda"}  # in these each file is a room; elsewhere the folder is
MOST_PARAMETERS = 8
WIDE = 10  # functions that may have more: PyTorch says so, or a kernel of Numba CUDA, which takes arrays and numbers


def sources(*folders):
    """The Python files below these folders; the link minicnn/kernels is not followed."""
    found = [Path(at, name) for folder in folders for at, _, names in os.walk(ROOT / folder) for name in names]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in found if path.suffix == ".py"}


ENGINE = sources("minicnn", "kernels")


@functools.cache
def imports_of(file, text):
    """The files of the house that it imports, inside of functions and for type checkers, too: no circle can hide."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = list(Path(file).parts[:-1])[: len(Path(file).parts) - node.level]
            base = ".".join([*(package if node.level else ()), *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {file_of(name) for name in names}
    return found - {None}


def file_of(name):
    """The file that holds minicnn.a.b: of this name, else the one in which b is defined; None of other libraries."""
    path = name.removeprefix("minicnn.").replace(".", "/") if "kernels" in name else name.replace(".", "/")
    for candidate in (path, path.rpartition("/")[0]):
        for file in (f"{candidate}.py", f"{candidate}/__init__.py"):
            if candidate and file in ENGINE:
                return file
    return None


def room_of(file):
    folder = str(Path(file).parent)
    return file if folder in HALLS else folder


def arrows(place=lambda file: file, files=ENGINE):
    """{place: {places that it imports}}"""
    found = {place(file): set() for file in files}
    for file, text in files.items():
        found[place(file)] |= set(map(place, imports_of(file, text))) - {place(file)}
    return found


def circle_in(graph):
    """A circle of imports, as text; None if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return " <- ".join(error.args[1])
    return None


def test_no_file_imports_itself_in_a_circle():
    graph = arrows()
    assert sum(map(len, graph.values())) > 400
    assert circle_in(graph) is None


def test_no_room_imports_itself_in_a_circle():
    """Two rooms that import each other would be two floors of which each lies above the other."""
    assert circle_in(arrows(room_of)) is None


@pytest.mark.parametrize(
    "below, above",
    [
        ("minicnn/ops", "minicnn/nn"),
        ("minicnn/nn", "minicnn/models"),
        ("minicnn/detection", "minicnn/data"),
        ("minicnn/detection", "minicnn/models"),
        ("minicnn/optim", "minicnn/train"),
        ("minicnn/data", "minicnn/train"),
        ("minicnn/pretrained", "minicnn/train"),
        ("minicnn/train", "minicnn/cli"),
        ("minicnn/pretrained", "minicnn/cli"),
        ("kernels/cpu/machine", "kernels/cpu/gemm"),
        ("kernels/cpu/gemm", "kernels/cpu/convolution"),
    ],
)
def test_rooms_that_lie_below_others(below, above):
    graph, seen = arrows(room_of), {below}
    assert above in graph
    while more := set().union(*(graph[room] for room in seen)) - seen:
        seen |= more
    assert above not in seen


def test_kernels_are_imported_by_kernels_and_the_dispatch_alone():
    others = [file for file in ENGINE if not file.startswith("kernels/") and file != "minicnn/device.py"]
    assert len(others) > 90
    found = {file: {path for path in imports_of(file, ENGINE[file]) if path.startswith("kernels/")} for file in others}
    assert not {file: paths for file, paths in found.items() if paths}


def test_few_functions_have_many_parameters():
    wide = []
    for file, text in sources("minicnn", "kernels", "benchmarks", "examples").items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                count = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
                wide += [f"{file}: {node.name} has {count}"] * (count > MOST_PARAMETERS)
    assert len(wide) <= WIDE, "\n".join(wide)


# What is public is described


def public():
    """(name, object, what it is): the functions and classes of minicnn, and the methods of the classes."""
    for file in sorted(ENGINE):
        if file.startswith("minicnn/") and not file.endswith("__init__.py"):
            module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
            for name, value in vars(module).items():
                if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
                    if inspect.isclass(value):
                        yield f"{file}: {name}", value, "class"
                        yield from methods(f"{file}: {name}", value)
                    elif inspect.isfunction(value):
                        yield f"{file}: {name}", value, "function"


def methods(name, cls):
    """Those that it defines, and that none of its bases has described."""
    for word, value in vars(cls).items():
        described = word != "__init__" and any(
            inspect.getdoc(vars(base)[word]) for base in cls.__mro__[1:-1] if word in vars(base)
        )
        if described or not (word == "__init__" or not word.startswith("_")):
            continue
        value = getattr(value, "__func__", getattr(value, "fget", getattr(value, "func", value)))
        if inspect.isfunction(value) and value.__module__ == cls.__module__:
            yield f"{name}.{word}", value, "method"


def is_described(value, kind):
    if kind == "class" and issubclass(value, Function):  # a graph node: its page says what it computes
        return bool(inspect.getmodule(value).__doc__)
    if kind == "class":  # Python's own text for named tuples and dataclasses says nothing
        text = vars(value).get("__doc__") or ""
        return bool(text) and not text.startswith((f"{value.__name__}(", "An enumeration"))
    return value.__name__ in ("__init__", "forward", "backward") or bool(inspect.getdoc(value))


def is_hinted(value, kind):
    if kind == "class" or value.__name__ in ("forward", "backward"):
        return True
    signature = inspect.signature(value)
    parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    returns = signature.return_annotation is not signature.empty or (value.__name__ == "__init__" and parameters)
    return bool(returns) and all(p.annotation is not p.empty for p in parameters)


@functools.cache
def missing(is_right):
    return [name for name, value, kind in public() if not is_right(value, kind)]


def test_what_is_public_has_a_docstring():
    assert len(list(public())) > 500
    assert not missing(is_described), "\n".join(missing(is_described))


def test_what_is_public_has_type_hints():
    assert not missing(is_hinted), "\n".join(missing(is_hinted))


def test_files_of_tests_have_names_of_their_own():
    """They are imported by their stem, as tests/mutations does: of two of one name, it would run the wrong one."""
    stems = collections.Counter(path.stem for path in (ROOT / "tests").rglob("test_*.py"))
    assert [stem for stem, count in stems.items() if count > 1] == []


def test_files_that_are_spoken_of_are_there():
    """A file that is moved or renamed is still named elsewhere: in comments, docstrings, documents."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.glob("*.md")}
    for top in ("minicnn", "kernels", "benchmarks", "examples", "docs", "tests"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".cu", ".cuh", ".h", ".cpp", ".md"):
                texts[path.relative_to(ROOT).as_posix()] = path.read_text()
    named = {
        (file, name.removeprefix("minicnn/") if "/kernels/" in name else name)
        for file, text in texts.items()
        if not file.startswith(("tests/", "CHANGELOG"))  # tests make up names, and the log tells of what was
        for name in re.findall(r"(?<![\w/])[a-z]\w*(?:/\w+)*\.(?:py|cuh?)\b", text)
    }
    there = "\n".join(f"/{file}\n" for file in texts)
    assert len(named) > 500
    assert sorted((file, name) for file, name in named if f"/{name}\n" not in there) == [
        ("docs/profiler.md", "transpose.cu"),  # which the reader writes
        ("docs/tour/2_convolution.py", "blur.cu"),  # which the chapter writes, as the next two do
        ("docs/tour/3_matmul.py", "put.cu"),
        ("docs/tour/4_your_own_op.py", "silu.cu"),
        ("kernels/README.md", "name.cuh"),
    ]
