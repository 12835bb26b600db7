"""Would a mistake in the processor's fast tier be noticed? cpu_mutations.txt names some, in the form of mutations.txt;
the check is a test, by the name that pytest gives it.

The functions that a mutation changes exchange their code, as in test_mutations.py. What Numba has compiled of them is
compiled again, and so is what calls them, and nothing else: without a cache, and under the same names in all modules.
"""

import contextlib
import importlib
import inspect
import io
import itertools
import types
from pathlib import Path

import numba
import pytest
import test_cpu_jit
from mutations import read
from numba.core.errors import NumbaError
from numba.extending import intrinsic
from paths import TESTS

from minicnn import kernels


def module_of(file):
    return importlib.import_module(f"minicnn.kernels.cpu.{file.removesuffix('.py').replace('/', '.')}")


FOLDER = Path(kernels.__path__[0]) / "cpu"
FILES = [path.relative_to(FOLDER).as_posix() for path in sorted(FOLDER.rglob("[!_]*.py"))]
PACKAGE = [module_of(file) for file in FILES]
INTRINSIC = type(intrinsic(lambda context: None))
MUTATIONS = read("cpu_mutations.txt")
CHECKS = sorted({mutation.check for mutation in MUTATIONS})


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.name}")
def test_is_rejected(mutation, tmp_path):
    with pytest.MonkeyPatch.context() as monkeypatch, in_force(mutation, monkeypatch, tmp_path):
        (error,) = errors_of([mutation.check]).values()
    if isinstance(error, pytest.skip.Exception):
        pytest.skip(str(error))
    assert error, f"{mutation.check} accepts it"
    assert not isinstance(error, (NameError, SyntaxError, NumbaError)), f"the mutation is no program: {error}"


def test_the_checks_themselves_pass():
    errors = errors_of(CHECKS)
    assert len(errors) == len(CHECKS)
    assert all(error is None or isinstance(error, pytest.skip.Exception) for error in errors.values()), errors


def test_every_file_has_a_mutation():
    assert {mutation.file for mutation in MUTATIONS} == set(FILES)
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 30


# Putting a mutation into force


@contextlib.contextmanager
def in_force(mutation, monkeypatch, folder):
    path = FOLDER / mutation.file
    text = path.read_text()
    assert text.count(mutation.old) == 1, f"{text.count(mutation.old)} times in {mutation.file}: {mutation.old}"
    assert mutation.old.count("\n") == mutation.new.count("\n"), "the functions below would move to other lines"
    (folder / mutation.file).parent.mkdir(exist_ok=True)
    (folder / mutation.file).write_text(text.replace(mutation.old, mutation.new))
    monkeypatch.setattr(test_cpu_jit, "FOLDER", folder)  # these tests start programs, which import a file from here
    right = codes(compile(text, path, "exec"))
    wrong = codes(compile(text.replace(mutation.old, mutation.new), path, "exec"))
    module = module_of(mutation.file)
    changed = [function for function in functions_of(module) if wrong[name_of(function)] != right[name_of(function)]]
    assert changed, "no function is changed"
    try:
        for function in changed:
            function.__code__ = wrong[name_of(function)]
        for old, new in compiled_anew(changed):
            for module in PACKAGE:
                for name in [name for name, value in vars(module).items() if value is old]:
                    monkeypatch.setattr(module, name, new)
        yield
    finally:
        for function in changed:
            function.__code__ = right[name_of(function)]


def codes(code):
    """{qualified name: code} of all functions in it, those inside of functions too."""
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return {name: found for part in inner for name, found in ({part.co_qualname: part} | codes(part)).items()}


def name_of(function):
    return function.__code__.co_qualname


def functions_of(module):
    """The functions and methods that stand in its file."""
    values = [plain(value) for value in vars(module).values()]
    values += [plain(part) for value in values if inspect.isclass(value) for part in vars(value).values()]
    return [value for value in values if is_function(value) and value.__module__ == module.__name__]


def compiled_anew(changed):
    """[(old, new)]: of all that Numba compiles in the package, what comes from these functions or calls them."""
    parts = {id(value): value for module in PACKAGE for value in vars(module).values() if is_function(value)}.values()
    stale, count = set(changed), 0
    while len(stale) > count:
        count = len(stale)
        stale |= {plain(part) for part in parts if not stale.isdisjoint(used_by(plain(part)))}
    old = [part for part in parts if plain(part) in stale and not isinstance(part, types.FunctionType)]
    spaces = {function.__module__: dict(function.__globals__) for function in map(plain, old)}
    new = [compiled(part, spaces[part.__module__]) for part in old]
    for space in spaces.values():  # they find each other by name, when they are compiled, at the first call
        for name, value in space.items():
            space[name] = next((after for before, after in zip(old, new, strict=True) if before is value), value)
    return list(zip(old, new, strict=True))


def compiled(part, names):
    right = plain(part)
    function = types.FunctionType(right.__code__, names, right.__name__, right.__defaults__, right.__closure__)
    if isinstance(part, INTRINSIC):
        return intrinsic(prefer_literal=part._prefer_literal)(function)
    return numba.jit(function, **part.targetoptions)


def is_function(value):
    return isinstance(plain(value), types.FunctionType) and plain(value).__module__.startswith(kernels.__name__)


def plain(value):
    """The function as it stands in the source."""
    return inspect.unwrap(value) if callable(value) else value


def used_by(function):
    """The functions that its names stand for."""
    values = (function.__globals__.get(name) for name in names_in(function.__code__))
    return [plain(value) for value in values if is_function(value)]


def names_in(code):
    inner = (names_in(part) for part in code.co_consts if isinstance(part, types.CodeType))
    return {*code.co_names, *itertools.chain(*inner)}


# Running a test


class Errors:
    """A plugin of pytest that keeps the exception of each test, None for one that has passed."""

    def __init__(self):
        self.found = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if call.excinfo or report.when == "call":
            self.found.setdefault(item.nodeid, call.excinfo and call.excinfo.value)
        return report


def errors_of(checks):
    """{test: its exception, or None}: pytest, run inside of pytest."""
    plugin, tests = Errors(), []
    for file, _, test in (check.partition("::") for check in checks):
        tests.append(f"{next(TESTS.rglob(file))}::{test}")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = pytest.main(
            ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:faulthandler", *tests], plugins=[plugin]
        )
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), output.getvalue()
    return plugin.found
