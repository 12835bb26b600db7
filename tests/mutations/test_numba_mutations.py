"""Would a mistake in a kernel of Numba's be noticed? numba_mutations.txt names some, in the form of mutations.txt: the
check is an op's comparisons in test_numba_sizes.py or one of test_summation.py's SUMS, and a word of the error, if it
is not a wrong result."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import pytest
from checks import Place
from mutations import read
from test_numba_sizes import CASES, PACKAGE, check_equals_the_reference, loaded_anew, there
from test_summation import SUMS

from minicnn import kernels
from minicnn.kernels.cuda.source import KernelError

FOLDER = Path(kernels.__path__[0]) / "numba_cuda"
MUTATIONS = read("numba_mutations.txt")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.name}")
def test_is_noticed(tmp_path, mutation):
    check, *report = mutation.check.split()
    rejected = pytest.raises((KernelError, AssertionError))
    with Place("cuda", "plain").active(), in_force(mutation, tmp_path), rejected as caught:
        run_check(check)
    assert caught.type is (KernelError if report else AssertionError), caught.value
    assert all(word in str(caught.value) for word in report), caught.value


@contextlib.contextmanager
def in_force(mutation, folder):
    text = (FOLDER / mutation.file).read_text()
    assert text.count(mutation.old) == 1, f"{text.count(mutation.old)} times in {mutation.file}: {mutation.old}"
    wrong = folder / mutation.file
    wrong.write_text(text.replace(mutation.old, mutation.new))
    spec = importlib.util.spec_from_file_location(f"{PACKAGE}.{wrong.stem}", wrong)
    with loaded_anew():
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
        yield


def run_check(stem):
    if stem in SUMS:
        return SUMS[stem](Place("cuda", "plain"))
    cases = [case for case in CASES if case[0].__module__.endswith(f".{stem}")]
    assert cases, f"there is no check {stem}"
    for reference, *arguments in cases:
        check_equals_the_reference(reference, arguments, there)
