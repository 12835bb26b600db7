"""``Trainer(loss=...)``: a loss of one's own, whole and in parts, and what is none."""

import numpy as np
import pytest
from checks import raises
from kill_and_resume import small_trainer
from training_of_ranks import make

import minicnn.functional as F
from minicnn import Tensor


def test_a_loss_of_ones_own(tmp_path):
    """Half of the cross entropy is minimised as it is by half the rate."""
    own, half = tmp_path / "own", tmp_path / "half"
    own.mkdir(), half.mkdir()
    seen = []

    def loss(scores, targets):
        seen.append((type(scores), type(targets), targets.dtype, scores.shape[0] == targets.shape[0]))
        return 0.5 * F.cross_entropy(scores, targets)

    trainer = make(own, bits=64, epochs=1)
    trainer.loss = loss
    trainer.fit()
    assert set(seen) == {(Tensor, Tensor, np.dtype(np.int64), True)}
    other = make(half, bits=64, epochs=1)
    for group in other.optimizer.param_groups:
        group["lr"], group["weight_decay"] = group["lr"] / 2, group["weight_decay"] * 2
    other.fit()
    expected = dict(other.model.named_parameters())
    for name, parameter in trainer.model.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), expected[name].numpy(), rtol=0, atol=1e-12)


def test_a_loss_of_ones_own_in_parts_is_that_of_the_whole(tmp_path):
    models = []
    for number, parts in enumerate(({}, {"accumulate": 3})):
        (tmp_path / str(number)).mkdir()
        trainer = make(tmp_path / str(number), bits=64, epochs=1, **parts)
        trainer.loss = lambda scores, targets: F.nll_loss(F.log_softmax(scores, 1), targets)
        trainer.fit()
        models.append(trainer.model.state_dict())
    for name, array in models[0].items():
        np.testing.assert_allclose(np.asarray(array), np.asarray(models[1][name]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "loss, found",
    [(lambda s, t: F.cross_entropy(s, t, reduction="none"), r"a Tensor \(8,\)"), (lambda s, t: 0.5, "a float")],
)
def test_a_loss_that_is_no_number(tmp_path, loss, found):
    with pytest.raises(TypeError, match=f"Trainer: loss has returned {found}; it must return one number"):
        make(tmp_path, loss=loss).fit()


def test_a_loss_that_is_no_function(tmp_path):
    with raises(TypeError, "Trainer: loss is a function of (scores, targets)", "not a str"):
        small_trainer(tmp_path, loss="cross entropy")
