"""Would a mistake in the processor's fast tier be noticed? cpu_mutations.txt names some, in the form of mutations.txt;
the check is a test, by the name that pytest gives it."""

import contextlib
import importlib
import io

import pytest
import test_cpu_jit
from mutations import read
from numba.core.errors import NumbaError
from paths import TESTS
from wrong_versions import CPU_FILES, in_force

MUTATIONS = read("cpu_mutations.txt")
CHECKS = sorted({mutation.check for mutation in MUTATIONS})
TRIED = "kernels/cpu/gemm/", "kernels/cpu/convolution/"  # in every run: the first of each file there


def _is_slow(mutation):
    """Whether only ``pytest -m slow`` tries it: each compiles for seconds."""
    first = next(other for other in MUTATIONS if other.file == mutation.file)
    return mutation is not first or not mutation.file.startswith(TRIED)


LISTED = [pytest.param(m, marks=[pytest.mark.slow] if _is_slow(m) else []) for m in MUTATIONS]


@pytest.mark.parametrize("mutation", LISTED, ids=lambda mutation: f"{mutation.file}: {mutation.name}")
def test_is_rejected(mutation, tmp_path):
    importlib.import_module(mutation.check.partition(".")[0])  # or it would get, and keep, the wrong version
    with pytest.MonkeyPatch.context() as monkeypatch, in_force(mutation, tmp_path):
        monkeypatch.setattr(test_cpu_jit, "FOLDER", tmp_path / "kernels/cpu")  # its tests start programs with a file
        (error,) = errors_of([mutation.check]).values()
    if isinstance(error, pytest.skip.Exception):
        pytest.skip(str(error))
    assert error, f"{mutation.check} accepts it"
    assert not isinstance(error, (NameError, SyntaxError, NumbaError)), f"the mutation is no program: {error}"


@pytest.mark.slow  # every run has them already, as tests
def test_the_checks_themselves_pass():
    errors = errors_of(CHECKS)
    wrong = {name: error for name, error in errors.items() if not isinstance(error, pytest.skip.Exception | None)}
    assert not wrong and len(errors) == len(CHECKS)


def test_a_wrong_version_reaches_who_calls_it_and_leaves_nothing_behind(tmp_path):
    """The test calls ``team.stage``, a name in a module; it has been compiled before, and is not compiled for good."""
    mutation = next(mutation for mutation in MUTATIONS if mutation.file == "kernels/cpu/machine/team.py")
    assert list(errors_of([mutation.check]).values()) == [None]
    with in_force(mutation, tmp_path):
        (error,) = errors_of([mutation.check]).values()
        assert isinstance(error, AssertionError)
    assert list(errors_of([mutation.check]).values()) == [None]


def test_every_file_has_a_mutation():
    assert {mutation.file for mutation in MUTATIONS} == set(CPU_FILES)
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 30


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
        options = ["-x", "-q", "-m", "", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:faulthandler"]
        code = pytest.main([*options, *tests], plugins=[plugin])
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), output.getvalue()
    return plugin.found
