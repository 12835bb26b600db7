"""The loss in training: with auxiliary heads the sum, by the network's weight; what is logged is the main one."""

from typing import NamedTuple

import numpy as np
import pytest
from checks import raises
from kill_and_resume import small_trainer

import minicnn.functional as F
from minicnn import Tensor, models, nn, no_grad
from minicnn.models.googlenet import GoogLeNetOutputs
from minicnn.models.inception_v3 import InceptionOutputs
from minicnn.runlog import read_log
from minicnn.train.loss import classification_loss

LABELS = np.array([0, 2, 1, 1])


def scores(count):
    rng = np.random.default_rng(0)
    return [Tensor(rng.standard_normal((4, 3)), requires_grad=True) for _ in range(count)]


WEIGHTS = {GoogLeNetOutputs: 0.3, InceptionOutputs: 0.4}


@pytest.mark.parametrize("outputs", WEIGHTS)
def test_auxiliary_losses_are_added_by_their_weight(outputs):
    weight = WEIGHTS[outputs]
    parts = scores(len(outputs._fields))
    losses = classification_loss(outputs(*parts), LABELS)
    main, *auxiliary = (F.cross_entropy(part, LABELS).item() for part in parts)
    assert losses.main.item() == main and losses.scores is parts[0]
    assert losses.total.item() == pytest.approx(main + weight * sum(auxiliary), rel=1e-12)
    losses.total.backward()
    for part, share in zip(parts, [1.0, weight, weight], strict=False):
        alone = Tensor(part.numpy(), requires_grad=True)
        F.cross_entropy(alone, LABELS).backward()
        np.testing.assert_allclose(part.grad.numpy(), share * alone.grad.numpy(), rtol=1e-12)


def test_scores_alone():
    (alone,) = scores(1)
    losses = classification_loss(alone, LABELS)
    assert losses.total is losses.main and losses.total.item() == F.cross_entropy(alone, LABELS).item()


@pytest.mark.parametrize("outputs", [tuple(scores(2)), {"logits": scores(1)[0]}, None])
def test_other_outputs_are_refused(outputs):
    with raises(TypeError, type(outputs).__name__, "auxiliary_weight"):
        classification_loss(outputs, LABELS)


class Outputs(NamedTuple):
    logits: Tensor
    auxiliary: Tensor
    auxiliary_weight = property(lambda self: 0.5)


class WithHead(nn.Module):
    """A trainer's network, and a second classifier on the pixels, in training only."""

    def __init__(self, network):
        super().__init__()
        self.network, self.head = network, nn.Linear(3, 3)

    def forward(self, x):
        y = self.network(x)
        return Outputs(y, self.head(x.mean(dim=(2, 3)))) if self.training else y


def test_a_trainer_trains_the_heads_and_logs_the_networks_own_loss(tmp_path):
    trainer = small_trainer(tmp_path, epochs=1)
    model = trainer.model = WithHead(trainer.model)
    trainer.optimizer.add_param_group({"params": list(model.head.parameters())})
    before, seen, forward = model.head.weight.numpy().copy(), [], model.forward
    model.forward = lambda x: (seen.append(forward(x)), seen[-1])[1]
    trainer.fit()
    assert not np.array_equal(model.head.weight.numpy(), before)
    outputs = [each for each in seen if isinstance(each, Outputs)]
    assert len(outputs) == len(trainer.train_loader) and len(seen) > len(outputs)  # validation: scores only
    labels = [batch.labels for batch in trainer.train_loader.epoch(0)]
    own = sum(F.cross_entropy(o.logits, y).item() * len(y) for o, y in zip(outputs, labels, strict=True))
    logged = float(read_log(tmp_path / "log.csv")[0]["train_loss"])
    assert logged == pytest.approx(own / sum(map(len, labels)), rel=1e-5)


def test_googlenets_heads_get_gradients():
    model = models.googlenet(3).train()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32))
    classification_loss(model(x), np.array([0, 1])).total.backward()
    assert all(float(abs(p.grad.numpy()).max()) > 0 for p in (model.aux1.fc2.weight, model.aux2.fc2.weight))
    with no_grad():
        assert isinstance(model.eval()(x), Tensor)
