"""A wrong version of a file, in force inside a block: one machine for the four lists of mutations.

Of a Python file, the functions that a mutation changes exchange their code, which reaches every module that has
imported them. What Numba has compiled of them for the processor is compiled again, and so is what calls them, and
nothing else: without a cache, and under the same names in all modules, those of the tests included. Kernels of Numba
CUDA are loaded anew before, for the emulated GPU. Of a CUDA file, the emulator compiles the wrong text in its place.
"""

import contextlib
import functools
import importlib
import inspect
import itertools
import sys
import types

import numba
import pytest
from checks import loaded_anew
from numba.extending import intrinsic
from paths import ROOT, TESTS

from minicnn import gradmode
from minicnn.device import _tier
from minicnn.kernels.cuda import emulator, source

CPU = ROOT / "kernels" / "cpu"
CPU_FILES = [path.relative_to(ROOT).as_posix() for path in sorted(CPU.rglob("[!_]*.py"))]
INTRINSIC = type(intrinsic(lambda context: None))


@contextlib.contextmanager
def in_force(mutation, folder):
    """The wrong file lies in `folder`, too, as below ROOT: for a test that starts a program with it."""
    text, file = (ROOT / mutation.file).read_text(), folder / mutation.file
    assert text.count(mutation.old) == 1, f"{text.count(mutation.old)} times in {mutation.file}: {mutation.old}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.replace(mutation.old, mutation.new))
    if file.suffix != ".py":
        block = compiled_from(file)
    elif mutation.file.startswith("kernels/numba_cuda"):
        block = loaded_and_exchanged(mutation, text)
    else:
        block = exchanged(mutation, text)
    with block:
        yield


# Python: exchanged code


@contextlib.contextmanager
def exchanged(mutation, text):
    missing = mutation.old.count("\n") - mutation.new.count("\n")
    assert missing >= 0, "the functions below would move to other lines"
    right, wrong = (compile(t, "", "exec") for t in (text, text.replace(mutation.old, mutation.new + "\n" * missing)))
    wrongs = {r: w for r, w in pairs(right, wrong) if r != w}
    changed = {function: function.__code__ for function in functions_of(module_of(mutation.file))}
    changed = {function: code for function, code in changed.items() if code in wrongs}
    assert changed, "no function is changed"
    unreached = {code.co_qualname for code in wrongs.keys() - set(changed.values()) if "<" not in code.co_qualname}
    assert not unreached, f"these functions are changed, but nobody has them: {unreached}"
    tier_before = _tier._default  # the process's: this may be inside a block of another
    blocks_before = [
        (setting, setting.value, list(setting._open)) for setting in (gradmode._grad_mode, _tier._of_thread)
    ]
    with pytest.MonkeyPatch.context() as monkeypatch:
        try:
            for function, code in changed.items():
                function.__code__ = wrongs[code]
            forget()
            if mutation.file in CPU_FILES:
                modules = [*map(module_of, CPU_FILES), *(m for m in loaded() if is_of_tests(m.__name__))]
                for old, new in compiled_anew(changed, modules):
                    for module in loaded():
                        for name in [name for name, value in vars(module).items() if value is old]:
                            monkeypatch.setattr(module, name, new)
            yield
        finally:
            for function, code in changed.items():
                function.__code__ = code
            forget()
            for setting, value, blocks in blocks_before:  # a wrong version may leave one open
                setting.value, setting._open = value, blocks
            _tier._default = tier_before


def loaded():
    """The modules of the checkout, the tests' included, that are loaded."""
    return [module for module in list(sys.modules.values()) if is_of_checkout(module)]


def is_of_checkout(module):
    return str(getattr(module, "__file__", None) or "").startswith(f"{ROOT}/")


def forget():
    """No function keeps results of earlier calls: they may be those of a wrong version, or of the right one."""
    for module in loaded():
        for value in vars(module).values():
            if isinstance(value, functools._lru_cache_wrapper) and value.cache_parameters()["maxsize"] is not None:
                value.cache_clear()


def module_of(file):
    package = "" if file.startswith("minicnn") else "minicnn."
    return importlib.import_module(package + file.removesuffix(".py").replace("/", "."))


def pairs(right, wrong):
    """(right, wrong): the code of all functions, those inside of functions too where both have as many."""
    inner = [[part for part in code.co_consts if isinstance(part, types.CodeType)] for code in (right, wrong)]
    if len(inner[0]) == len(inner[1]):
        for r, w in zip(*inner, strict=True):
            if r.co_flags & inspect.CO_OPTIMIZED:  # not a class
                yield r, w
            yield from pairs(r, w)


def functions_of(module):
    """The functions and methods that stand in its file."""
    values, found = list(vars(module).values()), set()
    for value in values:  # which grows
        if inspect.isclass(value) and value.__module__ == module.__name__ and value not in found:
            found.add(value)
            values += vars(value).values()
        elif isinstance(value, property):
            values += [value.fget, value.fset]
        elif is_function(value) and plain(value).__module__ == module.__name__:
            found.add(plain(value))
    return [value for value in found if isinstance(value, types.FunctionType)]


def is_function(value):
    if not isinstance(plain(value), types.FunctionType):
        return False
    module = plain(value).__module__
    return module.startswith("minicnn.") or is_of_tests(module)


def is_of_tests(name):
    return str(getattr(sys.modules.get(name), "__file__", None) or "").startswith(f"{TESTS}/")


def plain(value):
    """The function as it stands in the source."""
    if isinstance(value, (classmethod, staticmethod)):
        value = value.__func__
    elif type(value).__name__ == "Kernel":  # of Numba CUDA
        value = value.function
    return inspect.unwrap(value) if callable(value) else value


# What Numba has compiled for the processor


def compiled_anew(changed, modules):
    """[(old, new)]: of all that Numba compiles in the modules, what comes from these functions or calls them."""
    parts = {id(value): value for module in modules for value in vars(module).values() if is_function(value)}.values()
    stale, count = set(changed), 0
    while len(stale) > count:
        count = len(stale)
        stale |= {plain(part) for part in parts if not stale.isdisjoint(used_by(plain(part)))}
    old = [part for part in parts if plain(part) in stale and is_compiled(part)]
    spaces = {function.__module__: dict(function.__globals__) for function in map(plain, old)}
    new = [compiled(part, spaces[part.__module__]) for part in old]
    for space in spaces.values():  # they find each other by name, when they are compiled, at the first call
        for name, value in space.items():
            space[name] = next((after for before, after in zip(old, new, strict=True) if before is value), value)
    return list(zip(old, new, strict=True))


def is_compiled(part):
    return isinstance(part, INTRINSIC) or hasattr(part, "targetoptions")


def compiled(part, names):
    right = plain(part)
    function = types.FunctionType(right.__code__, names, right.__name__, right.__defaults__, right.__closure__)
    if isinstance(part, INTRINSIC):
        return intrinsic(prefer_literal=part._prefer_literal)(function)
    return numba.jit(function, **part.targetoptions)


def used_by(function):
    """The functions that its names stand for, those in modules included: ``team.stage``."""
    names = names_in(function.__code__)
    values = [function.__globals__.get(name) for name in names]
    modules = [value for value in values if isinstance(value, types.ModuleType) and is_of_checkout(value)]
    values += [getattr(module, name, None) for module in modules for name in names]
    return [plain(value) for value in values if is_function(value)]


def names_in(code):
    inner = (names_in(part) for part in code.co_consts if isinstance(part, types.CodeType))
    return {*code.co_names, *itertools.chain(*inner)}


# Kernels of the GPU


@contextlib.contextmanager
def loaded_and_exchanged(mutation, text):
    with loaded_anew(), exchanged(mutation, text):
        yield


@contextlib.contextmanager
def compiled_from(wrong):
    """The emulator compiles this file in the place of the one with its name, and what includes it."""
    right = emulator.library

    def library(path, options=()):
        if f'#line 1 "{wrong.name}"' in source.text(path):  # it includes this one, or one that does
            includes = wrong.with_name(path.name)
            includes.write_text(path.read_text())
        elif path.name == wrong.name:
            includes = wrong
        else:
            return right(path, options)
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("MINICNN_CACHE", str(wrong.parent))  # nobody needs it again
            return right(includes, options)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(emulator, "library", library)
        yield
