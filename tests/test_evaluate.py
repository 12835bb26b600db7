"""Testing a network: crops and networks are averaged as probabilities, the last small batch counts by its size."""

import numpy as np
import pytest
from PIL import Image

from minicnn import Tensor, models, nn
from minicnn import functional as F
from minicnn.data import CenterCrop, ChannelMean, Compose, DataLoader, ResizeShorter, TenCrop
from minicnn.train import Classifier, evaluate
from minicnn.train.evaluate import log_mean, log_probabilities
from minicnn.train.pictures import RandomPictures

CLASSES = 6


class Means(nn.Module):
    """Scores: a linear function of the picture's mean colour."""

    def __init__(self, seed):
        super().__init__()
        weight = np.random.default_rng(seed).normal(size=(CLASSES, 3)).astype(np.float32)
        self.weight = nn.Parameter(weight)
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        scores = F.linear(x.mean(dim=(2, 3)), self.weight)
        assert not scores.requires_grad, "testing builds a graph"
        return scores


class Plain:
    """Pictures of one colour each."""

    def __init__(self, count):
        self.samples = [(f"plain {i}", i % CLASSES) for i in range(count)]

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        return Image.new("RGB", (20 + index, 16), tuple(np.random.default_rng(index).integers(0, 256, 3).tolist()))


def as_float(batch):
    return batch.astype(np.float32) / 16


def loader(pictures, transform, batch_size=4):
    return DataLoader(pictures, batch_size, transform, shuffle=False, workers=0)


def test_values_against_a_loop():
    pictures, model = RandomPictures(11, 0, CLASSES, 20), Means(0)
    result = evaluate([Classifier(model, as_float)], loader(pictures, CenterCrop(12)))
    (batch,) = loader(pictures, CenterCrop(12), 11).epoch(0)
    scores = F.linear(Tensor(as_float(batch.images)).mean(dim=(2, 3)), model.weight.detach())
    top1 = 100 * (scores.numpy().argmax(axis=1) == batch.labels).mean()
    assert result.count == 11
    assert result.values()["top1"] == pytest.approx(top1)
    assert result.values()["loss"] == pytest.approx(F.cross_entropy(scores, batch.labels).item(), rel=1e-6)


def test_evaluates_in_evaluation_mode():
    model = Means(0).train()
    evaluate([Classifier(model, as_float)], loader(Plain(5), CenterCrop(8)))
    assert model.modes == [False, False]


def test_ten_crops_of_a_constant_picture_are_one_crop():
    classifiers = [Classifier(models.alexnet(CLASSES, width=8), as_float)]
    one, ten = (
        evaluate(classifiers, loader(Plain(3), Compose([ResizeShorter(70), crop(64)])))
        for crop in (CenterCrop, TenCrop)
    )
    assert (one.count, ten.count) == (3, 3)
    assert ten.values() == pytest.approx(one.values(), rel=1e-5)


def test_ten_crops_are_averaged_as_probabilities():
    pictures, model = RandomPictures(2, 3, CLASSES, 20), Means(1)
    (batch,) = loader(pictures, TenCrop(9)).epoch(0)
    classifier = Classifier(model, lambda x: 4 * as_float(x))
    p = np.stack([np.exp(log_probabilities(classifier, batch.images[:, i])[0]) for i in range(10)]).mean(axis=0)
    result = evaluate([classifier], loader(pictures, TenCrop(9)))
    assert result.values()["loss"] == pytest.approx(-np.log(p[[0, 1], batch.labels]).mean(), rel=1e-5)


def test_an_ensemble_is_the_mean_of_its_members_each_with_its_normaliser():
    pictures = RandomPictures(7, 5, CLASSES, 20)
    batches = list(loader(pictures, CenterCrop(12)).epoch(0))
    members = []
    for seed in range(3):
        members.append(Classifier(Means(seed), ChannelMean().fit([batches[seed % 2].images])))
    p = [np.exp([log_probabilities(m, batch.images)[0] for m in members]).mean(axis=0) for batch in batches]
    labels = np.concatenate([batch.labels for batch in batches])
    p = np.concatenate(p)
    result = evaluate(members, loader(pictures, CenterCrop(12)))
    assert result.values()["loss"] == pytest.approx(-np.log(p[range(7), labels]).mean(), rel=1e-5)
    assert result.values()["top1"] == pytest.approx(100 * (p.argmax(axis=1) == labels).mean())


def test_the_same_network_twice_is_itself():
    member, pictures = Classifier(Means(0), as_float), loader(Plain(7), CenterCrop(8))
    once, twice = evaluate([member], pictures), evaluate([member, member], pictures)
    assert twice.values() == pytest.approx(once.values(), rel=1e-6)


def test_log_mean_does_not_underflow():
    views = np.array([[[-1000.0, 0.0]], [[-1000.0, 0.0]], [[-1002.0, 0.0]]], np.float32)
    expected = -1000 + np.log((2 + np.exp(-2)) / 3)
    np.testing.assert_allclose(log_mean(views), [[expected, 0.0]], rtol=1e-6, atol=1e-6)
    assert log_mean(views[:1]).tobytes() == views[0].tobytes()  # one view: itself


def test_is_called_after_each_batch():
    seen = []
    evaluate(
        [Classifier(Means(0), as_float)], loader(Plain(9), CenterCrop(8)), after_batch=lambda *args: seen.append(args)
    )
    assert [position for position, _ in seen] == [0, 1, 2]
    assert seen[-1][1].count == 9
