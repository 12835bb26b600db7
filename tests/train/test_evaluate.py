"""Testing a network: crops, scales, networks are averaged as probabilities, the last small batch counts by its size."""

from argparse import Namespace

import numpy as np
import pytest
from checks import raises
from PIL import Image

from minicnn import Tensor, manual_seed, models, nn
from minicnn import functional as F
from minicnn.cli import pictures as of_arguments
from minicnn.cli.pictures import RandomPictures
from minicnn.data import BadImage, CenterCrop, ChannelMean, Compose, DataLoader, ResizeShorter, TenCrop, WithMirror
from minicnn.train import Classifier, evaluate
from minicnn.train.evaluate import log_mean, log_probabilities

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


class Positions(Means):
    """Such scores at each place of the picture, before the mean: of squares, lest they be those of the mean picture."""

    def forward(self, x):
        return F.conv2d(x * x, self.weight.reshape(CLASSES, 3, 1, 1), stride=3)


class Plain:
    """Pictures of one colour each; those numbered `bad` cannot be read."""

    def __init__(self, count, bad=()):
        self.bad = bad
        self.samples = [(f"plain {i}", i % CLASSES) for i in range(count)]

    def __len__(self):
        return len(self.samples)

    def load(self, index):
        if index in self.bad:
            raise BadImage(f"plain {index}", "broken")
        return Image.new("RGB", (20 + index, 16), tuple(np.random.default_rng(index).integers(0, 256, 3).tolist()))


def as_float(batch):
    return batch.astype(np.float32) / 16


def loader(pictures, transform, batch_size=4):
    return DataLoader(pictures, batch_size, transform=transform, max_bad_fraction=1)


def at_scales(pictures, scales, view, batch_size=4):
    return [loader(pictures, Compose([ResizeShorter(side), view]), batch_size) for side in scales]


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


# Several scales

VIEWS = [CenterCrop(12), TenCrop(12), WithMirror()]


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_constant_picture_is_the_same_at_every_scale(view):
    classifiers = [Classifier(Positions(0), as_float)]
    one = evaluate(classifiers, loader(Plain(5), CenterCrop(12)))
    many = evaluate(classifiers, at_scales(Plain(5), [12, 15, 31], view, batch_size=1))
    assert many.count == 5
    assert many.values() == pytest.approx(one.values(), rel=1e-5)


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_scales_against_a_loop(view):
    pictures, scales = RandomPictures(7, 0, CLASSES, 20), [13, 16, 24]
    members = [Classifier(Positions(seed), as_float) for seed in (1, 2)]
    losses, hits = [], []
    for index, (_, label) in enumerate(pictures.samples):
        probabilities = []
        for member in members:
            for side in scales:
                seen = Compose([ResizeShorter(side), view])(pictures.load(index), None)
                for pixels in seen if isinstance(seen, np.ndarray) else [np.asarray(seen).transpose(2, 0, 1)]:
                    places = (pixels[:, ::3, ::3].astype(np.float64) / 16) ** 2
                    scores = member.model.weight.numpy() @ places.mean(axis=(1, 2))
                    probabilities.append(np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum())
        mean = np.mean(probabilities, axis=0)
        losses.append(-np.log(mean[label]))
        hits.append(mean.argmax() == label)
    result = evaluate(members, at_scales(pictures, scales, view, 1 if isinstance(view, WithMirror) else 4))
    assert result.count == 7
    assert result.values()["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert result.values()["top1"] == pytest.approx(100 * np.mean(hits))


def test_a_dense_resnet_is_the_network_on_whole_pictures():
    manual_seed(0)
    model, pictures = models.cifar_resnet(8, num_classes=CLASSES), RandomPictures(3, 0, CLASSES, 20)
    dense, whole = (
        evaluate([Classifier(form, as_float)], at_scales(pictures, [20, 33], WithMirror(), batch_size=1))
        for form in (models.fully_convolutional(model), model)
    )
    assert dense.values() == pytest.approx(whole.values(), rel=1e-4)


def test_unreadable_pictures_are_skipped_at_every_scale():
    classifiers = [Classifier(Means(0), as_float)]
    pictures = Plain(9, bad=(1, 4, 5))  # 4 and 5 are a whole batch
    one = evaluate(classifiers, loader(pictures, CenterCrop(12), batch_size=2))
    loaders = at_scales(pictures, [12, 20], CenterCrop(12), batch_size=2)
    two = evaluate(classifiers, loaders)
    assert one.count == two.count == 6
    assert two.values() == pytest.approx(one.values(), rel=1e-5)
    assert [sorted(each.bad) for each in loaders] == [["plain 1", "plain 4", "plain 5"]] * 2


def test_loaders_of_different_pictures_are_refused():
    classifiers, first = [Classifier(Means(0), as_float)], loader(Plain(9, bad=(1,)), CenterCrop(12))
    others = [(Plain(9, bad=(2,)), 4), (Plain(9), 4), (Plain(9, bad=(1,)), 5), (Plain(8, bad=(1,)), 4), (Plain(4), 4)]
    for pictures, batch_size in others:
        other = loader(pictures, CenterCrop(12), batch_size)
        for pair in ([first, other], [other, first]):
            with raises(ValueError, "evaluate", "different pictures", "batch size"):
                evaluate(classifiers, pair)


@pytest.mark.parametrize(
    ("tta", "batches"),
    [(None, [(4, 3, 16, 16), (1, 3, 16, 16)]), ("10crop", 5 * [(1, 10, 3, 16, 16)]), ("dense", 5 * [(1, 2, 3, 0, 0)])],
)
def test_the_loaders_of_random_pictures(tta, batches):
    given = {
        "interpolation": "bilinear",
        "shorter_side": 18,
        "image_size": 16,
        "batch_size": 4,
        "seed": 0,
        "workers": 0,
        "max_bad_fraction": 0,
    }
    for scales, sides in ((None, [18]), ([16, 20, 30], [16, 20, 30])):
        args = Namespace(tta=tta, scales=scales, **given)
        loaders = of_arguments.test_loaders(args, RandomPictures(5, 0, CLASSES, 20))
        shapes = [[batch.images.shape for batch in each.epoch(0)] for each in loaders]
        assert shapes == [[tuple(n or side for n in shape) for shape in batches] for side in sides]
    with raises(ValueError, "--image-size 16", "--scales 15"):
        of_arguments.test_loaders(Namespace(tta=tta, scales=[20, 15], **given), RandomPictures(5, 0, CLASSES, 20))
