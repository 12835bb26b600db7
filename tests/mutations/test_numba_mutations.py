"""Would a mistake in a kernel of Numba's be noticed? numba_mutations.txt names some, in the form of mutations.txt: the
check is an op's comparisons in test_numba_sizes.py, an optimiser's in test_updates.py, or one of test_summation.py's
SUMS, and a word of the error, if it is not a wrong result."""

import pytest
from checks import Place
from mutations import read
from test_numba_sizes import CASES, check_equals_the_reference, there
from test_summation import SUMS
from test_updates import UPDATES, check_update
from wrong_versions import in_force

from minicnn.kernels.cuda.source import KernelError

MUTATIONS = read("numba_mutations.txt")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.file}: {mutation.name}")
def test_is_noticed(tmp_path, mutation):
    check, *report = mutation.check.split()
    rejected = pytest.raises((KernelError, AssertionError))
    with Place("cuda", "plain").active(), in_force(mutation, tmp_path), rejected as caught:
        run_check(check)
    assert caught.type is (KernelError if report else AssertionError), caught.value
    assert all(word in str(caught.value) for word in report), caught.value


def run_check(stem):
    if stem in UPDATES:
        return check_update(stem, Place("cuda", "plain"))
    if stem in SUMS:
        return SUMS[stem](Place("cuda", "plain"))
    cases = [case for case in CASES if case[0].__module__.endswith(f".{stem}")]
    assert cases, f"there is no check {stem}"
    for reference, *arguments in cases:
        check_equals_the_reference(reference, arguments, there)
