"""find_lr: the rate beyond which the loss runs away, and that nothing is left of the search."""

import copy

import numpy as np
import pytest
from checks import raises

import minicnn
from minicnn import nn, optim, random
from minicnn.data import DataLoader
from minicnn.train import find_lr

RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.standard_normal((40, 3, 6, 6), np.float32), np.arange(40) % 3


def small(dropout=0.3):
    minicnn.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(), nn.Linear(64, 3)
    return nn.Sequential(*layers)


def square(scores, targets):
    return (scores * scores).mean()


def off_by(scores, targets):
    return ((scores[:, 0] - (2.0 * targets.float() - 1)) ** 2).mean()


def test_the_rate_beyond_which_gradient_descent_diverges():
    """Of (2 w - t)^2, t = 1 and -1 by turns: each step is w <- (1 - 8 lr) w + 4 lr t. It follows every t, and is wrong
    about the next one, from lr = 1/8 on; from 1/4 on it grows."""
    model = nn.Linear(1, 1, bias=False)
    model.load_state_dict({"weight": [[3.0]]})
    loader = DataLoader((np.full((8, 1), 2, np.float32), np.repeat([0, 1], 4)), 4)  # two batches, again and again
    found = find_lr(model, optim.SGD(model.parameters(), lr=7.0), loader, off_by, low=1e-4, high=10, steps=200)
    assert len(found.rates) == len(found.losses) < 200
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 10, 200)[: len(found.rates)])
    assert found.losses[0] == pytest.approx(49) and found.losses[-1] > 4 * found.losses.min()
    assert 0.02 < 10 * found.suggestion < 0.125 and 0.2 < found.rates[-1] < 1
    slow = find_lr(model, optim.SGD(model.parameters(), lr=7.0), loader, off_by, low=1e-7, high=1e-6, steps=20)
    assert len(slow.rates) == 20 and 36 < slow.losses[-1] < 38  # (49 + 25) / 2: at such rates nothing happens


def test_groups_keep_their_ratios(monkeypatch):
    model, seen = small(), []
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[5].parameters(), "lr": 0.1}]
    optimizer = optim.SGD(groups, lr=1.0)
    step = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda: seen.append([g["lr"] for g in optimizer.param_groups]) or step())
    find_lr(model, optimizer, DataLoader((IMAGES, LABELS), 10), low=1e-3, high=1e-2, steps=3)
    np.testing.assert_allclose(seen, [[1e-3, 2e-4], [10**-2.5, 10**-2.5 / 5], [1e-2, 2e-3]])


def broken(scores, targets, calls=[]):  # noqa: B006
    calls.append(1)
    if len(calls) > 3:
        raise RuntimeError("it is enough")
    return square(scores, targets)


@pytest.mark.parametrize("loss", [None, broken], ids=["to the end", "by an error"])
def test_all_is_as_it_was(loss):
    model, loader = small(), DataLoader((IMAGES, LABELS), 8, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for images, labels in loader:  # so that there is a past
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    model[1].eval()
    weights = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    gradients = [parameter.grad.numpy().copy() for parameter in model.parameters()]
    kept, drawn = copy.deepcopy(optimizer.state_dict()), random.get_state()
    if loss is None:
        assert len(find_lr(model, optimizer, loader, steps=20).rates) > 5
    else:
        with pytest.raises(RuntimeError, match="it is enough"):
            find_lr(model, optimizer, loader, loss)
    assert all(np.array_equal(weights[key], value.numpy()) for key, value in model.state_dict().items())
    assert all(np.array_equal(p.grad.numpy(), g) for p, g in zip(model.parameters(), gradients, strict=True))
    now = optimizer.state_dict()
    assert now["groups"] == kept["groups"]
    for name in kept.keys() - {"groups"}:
        for one, other in zip(now[name], kept[name], strict=True):
            assert np.array_equal(one, other)
    assert random.get_state() == drawn and loader.next_epoch == 1
    assert [layer.training for layer in model] == [True, False, True, True, True, True]


def test_the_suggestion_trains():
    loader = DataLoader((IMAGES, LABELS), 10, shuffle=True)
    model = small(dropout=0.0)
    optimizer = optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    rate = find_lr(model, optimizer, loader).suggestion
    assert 1e-4 < rate < 1
    losses = []
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(15):
        for images, labels in loader:
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_what_cannot_be():
    model = small()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader((IMAGES, LABELS), 10)
    with raises(ValueError, "find_lr: high must be", "0.1"):
        find_lr(model, optimizer, loader, low=0.1, high=0.01)
    with raises(ValueError, "find_lr: steps must be"):
        find_lr(model, optimizer, loader, steps=1)
    with raises(ValueError, "find_lr: the loader has no batches"):
        find_lr(model, optimizer, DataLoader((IMAGES[:3], LABELS[:3]), 10, drop_last=True))
    with raises(ValueError, "find_lr: the loss is inf", "first step"):
        find_lr(model, optimizer, loader, lambda scores, targets: square(scores, targets) * np.inf)
    optimizer.param_groups[0]["lr"] = 0.0
    with raises(ValueError, "find_lr: the first group's lr is 0.0"):
        find_lr(model, optimizer, loader)
