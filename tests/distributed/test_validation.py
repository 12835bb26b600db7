"""Testing on real ranks: all have the bits of each other, and the scores of one process."""

import mpi
import numpy as np
import pytest

from minicnn import nn
from minicnn.data import DataLoader, ZeroToOne
from minicnn.train import Classifier, evaluate

pytestmark = [mpi.skip_without_mpi, pytest.mark.slow]

PROGRAM = "from test_validation import told\nprint(told())"


def told():
    """How many pictures, and their scores to the last bit."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (22, 3, 4, 4), np.uint8), rng.integers(0, 7, 22)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 7))
    model[1].weight.data[:] = rng.normal(size=(7, 48)).astype(np.float32)
    model[1].bias.data[:] = 0
    scores = evaluate([Classifier(model, ZeroToOne())], DataLoader(pictures, 4))
    return " ".join([str(scores.count), *(value.hex() for value in scores.values().values())])


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_have_the_scores_of_one_process(size):
    lines = mpi.succeed(size, PROGRAM)
    assert lines == lines[:1] * size
    (count, *ours), (whole, *theirs) = lines[0].split(), told().split()
    assert count == whole == "22"
    assert list(map(float.fromhex, ours)) == pytest.approx(list(map(float.fromhex, theirs)), rel=1e-13)
