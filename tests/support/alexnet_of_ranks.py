"""Run on several ranks: AlexNet, of which each holds a part, beside the whole network, which rank 0 trains for itself.

    mpiexec -n 2 python tests/support/alexnet_of_ranks.py halves|weird

It prints how far apart the losses and the trained weights are, in float64, with dropout.
"""

import json
import sys

import numpy as np

import minicnn
import minicnn.functional as F
from minicnn import Tensor, models, nn, optim
from minicnn.distributed import DataParallel, world
from minicnn.distributed.rows import rows

CLASSES, WIDTH = 4, 8


def prepared(model):
    """The network in float64, from He's weights (those of 2012, of 0.01, learn next to nothing in a few steps), with an
    LRN that shows."""
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.LocalResponseNorm):
            layer.alpha = 1.0
    return model.astype(np.float64)


def pictures(steps, sizes):
    """(images, labels) of each step."""
    rng = np.random.default_rng(0)
    batches = [sizes[step % len(sizes)] for step in range(steps)]
    return [(rng.standard_normal((n, 3, 67, 67)) / 4, rng.integers(0, CLASSES, n)) for n in batches]


def train(model, batches, loss_of):
    """The losses."""
    minicnn.manual_seed(1)  # of dropout
    optimizer = optim.SGD(model.parameters(), 0.001, momentum=0.9)
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        losses.append(loss_of(Tensor(images), labels))
        optimizer.step()
    return losses


def train_whole(model, batches):
    def loss_of(images, labels):
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        return loss.item()

    return train(model, batches, loss_of)


def train_halves(model, batches):
    def loss_of(images, labels):
        loss = F.cross_entropy(model(images), labels)
        (loss / world().size).backward()
        return loss.item()

    return train(model, batches, loss_of)


def train_weird(model, batches):
    parallel = DataParallel(model)

    def loss_of(images, labels):
        own = rows(len(labels), world().rank, world().size)
        with parallel.step(len(own)) as count:
            loss = F.cross_entropy(model(images[own.start : own.stop]), labels[own.start : own.stop], reduction="sum")
            (loss / count).backward()
        return float(world().sum(np.array(loss.item()))) / count

    return train(model, batches, loss_of)


def difference(model, losses, batches, whole):
    """Of losses and weights from those of the whole network, after it has been trained."""
    state = nn.gather_state(model)
    if not world().is_main:
        return None
    expected = train_whole(whole, batches)
    apart = [np.abs(value.numpy() - state[name].numpy()).max() for name, value in whole.state_dict().items()]
    return {"losses": float(np.abs(np.subtract(losses, expected)).max()), "weights": float(max(apart)), "are": expected}


def build(across):
    minicnn.manual_seed(0)
    return models.alexnet_2012(CLASSES, 0.5, WIDTH, groups=world().size, norm_across_halves=across)


def halves(across):
    whole = build(across)
    minicnn.manual_seed(0)
    model = models.alexnet_2012_split(CLASSES, 0.5, WIDTH, norm_across_halves=across)
    begins = same(nn.gather_state(model), whole.state_dict())
    whole, model = prepared(whole), prepared(model)
    model.load_state_dict(nn.split_state(model, whole.state_dict()))
    batches = pictures(10, [3])
    found = difference(model, train_halves(model, batches), batches, whole)
    own = sum(p.size for p in model.parameters()) / sum(p.size for p in whole.parameters())
    return {"begins": begins, "own": own, "difference": found}


def weird():
    minicnn.manual_seed(0)
    whole = prepared(models.alexnet(CLASSES, 0.5, WIDTH))
    minicnn.manual_seed(0)
    model = models.split_classifier(prepared(models.alexnet(CLASSES, 0.5, WIDTH)))
    begins = same(nn.gather_state(model), whole.state_dict())
    batches = pictures(4, [5, 4, 1, 3])
    return {"begins": begins, "difference": difference(model, train_weird(model, batches), batches, whole)}


def same(state, other):
    return list(state) == list(other) and all(
        np.array_equal(state[name].numpy(), other[name].numpy()) for name in other
    )


if __name__ == "__main__":
    print(json.dumps([weird()] if sys.argv[1] == "weird" else [halves(False), halves(True)]))
