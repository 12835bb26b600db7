"""Is the suite awake? Each wrong version of the engine in mutations.txt must be rejected by the test it names.

They are put into force by wrong_versions.py.
"""

import importlib
import inspect
import itertools

import pytest
from checks import PLACES
from hypothesis import Phase, Verbosity, settings
from mutations import read
from strategies import with_settings
from wrong_versions import in_force

from minicnn import tier

MUTATIONS = read("mutations.txt")
REJECTIONS = (Exception, pytest.fail.Exception)  # the second: pytest.raises that saw no error


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_is_rejected(mutation, tmp_path):
    with in_force(mutation, tmp_path), pytest.raises(REJECTIONS) as caught:
        run_check(mutation.check, max_examples=100)
    assert not isinstance(caught.value, (NameError, SyntaxError)), "the mutation is no program"


@pytest.mark.slow  # every run has them already, as tests
@pytest.mark.parametrize("check", sorted({mutation.check for mutation in MUTATIONS}))
def test_the_check_itself_runs(check):
    """Else everything would be "rejected"."""
    run_check(check, max_examples=3)


def test_names_are_different():
    names = [mutation.name for mutation in MUTATIONS]
    assert len(names) >= 45 and len(set(names)) == len(names)


# Running a test as pytest would


def run_check(name, max_examples):
    """Call the test "file.function" with everything it is parametrised with, each time on few examples."""
    stem, _, function = name.partition(".")
    test = getattr(importlib.import_module(stem), function)
    few = settings(
        max_examples=max_examples,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )
    for arguments in combinations(test):
        with pytest.MonkeyPatch.context() as monkeypatch:
            if "monkeypatch" in arguments:
                arguments["monkeypatch"] = monkeypatch
            place = arguments["place"].active() if "place" in arguments else tier("plain")  # where the mutations are
            with place, with_settings(test, lambda own: few):
                test(**arguments)


def combinations(test):
    """The arguments of each call: the product of the parametrize marks, the place, and the fixtures by name."""
    wanted = inspect.signature(test).parameters
    sets = [parameter_sets(mark) for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    if "place" in wanted:
        sets.append([{"place": PLACES[0]}])  # it is the processor's functions that are changed
    fixtures = {name: None for name in ("monkeypatch", "torch", "torchvision") if name in wanted}
    for oracle in {"torch", "torchvision"} & fixtures.keys():
        fixtures[oracle] = pytest.importorskip(oracle, reason=f"{oracle}, the oracle of this test, is not installed")
    for chosen in itertools.product(*sets):
        yield dict(itertools.chain(fixtures.items(), *(part.items() for part in chosen)))


def parameter_sets(mark):
    """[{argument: value}] of a parametrize mark."""
    names = [name.strip() for name in mark.args[0].split(",")]
    values = [getattr(value, "values", value if len(names) > 1 else (value,)) for value in mark.args[1]]
    return [dict(zip(names, value, strict=True)) for value in values]
