"""mixup and CutMix: torchvision's formulas for the same draw, soft targets, and what is refused."""

import numpy as np
import pytest
from checks import PLACES, needs_compiler

from minicnn import Tensor
from minicnn.data import CutMix, MixUp, RandomChoice, RandomFlip
from minicnn.device import to_device


def generator(seed=0):
    return np.random.default_rng(seed)


def batch(count=6, size=(9, 7), classes=4, seed=0):
    rng = generator(seed)
    return rng.standard_normal((count, 3, *size)).astype(np.float32), rng.integers(0, classes, count)


class Drawn:
    """A generator that draws what it is told."""

    def __init__(self, share, *places):
        self.share, self.places = share, list(places)

    def beta(self, a, b):
        return self.share

    def integers(self, high):
        return self.places.pop(0)


@pytest.mark.parametrize("share, x, y", [(0.3, 3, 4), (0.9, 0, 0), (0.5, 6, 8), (0.0, 2, 2), (1.0, 3, 3)])
def test_the_same_draw_gives_torchvisions_batch(torch, torchvision, share, x, y):
    from torchvision.transforms import v2

    images, labels = batch()
    height, width = images.shape[2:]
    tensors = torch.tensor(images), torch.tensor(labels)
    ours = MixUp(num_classes=4)(images, labels, Drawn(share))
    theirs = v2.MixUp(num_classes=4)
    params = {"labels": tensors[1], "batch_size": 6}
    expected = [theirs.transform(part, params | {"lam": share}) for part in tensors]
    for one, other in zip(ours, expected, strict=True):
        assert one.dtype == np.float32 and np.allclose(one, other.numpy(), atol=1e-6)

    ours = CutMix(num_classes=4)(images, labels, Drawn(share, x, y))
    half = 0.5 * (1 - share) ** 0.5
    w, h = int(half * width), int(half * height)
    box = max(x - w, 0), max(y - h, 0), min(x + w, width), min(y + h, height)
    left = 1 - (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
    expected = [
        v2.CutMix(num_classes=4).transform(part, params | {"box": box, "lam_adjusted": left}) for part in tensors
    ]
    assert np.array_equal(ours[0], expected[0].numpy()) and np.allclose(ours[1], expected[1].numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_targets_are_what_the_pictures_hold(kind):
    """Of pictures that are the one-hot code of their label, the mean pixel is the target."""
    labels, rng = generator(1).integers(0, 4, 8), generator()
    images = np.broadcast_to(np.eye(4, dtype=np.float32)[labels][:, :, None, None], (8, 4, 12, 10)).copy()
    before, shares = images.copy(), []
    for _ in range(50):
        mixed, targets = kind(alpha=0.8, num_classes=4)(images, labels, rng)
        assert np.allclose(mixed.mean(axis=(2, 3)), targets, atol=1e-5)
        assert np.allclose(targets.sum(axis=1), 1, atol=1e-6) and targets.min() >= 0
        shares.append(targets[np.arange(8), labels].min())
    assert np.array_equal(images, before) and len(set(shares)) > 15


def test_the_share_is_drawn_from_the_beta_distribution():
    rng = generator()
    for alpha, spread in ((1.0, 1 / 12), (0.2, 1 / (4 * 1.4))):
        shares = [MixUp(alpha=alpha).mix(np.ones((1, 1, 1, 1), np.float32), rng)[1] for _ in range(3000)]
        assert abs(np.mean(shares) - 0.5) < 0.03 and abs(np.var(shares) - spread) < 0.01


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_tensors_give_tensors_and_probabilities_are_mixed_once_more(kind):
    images, labels = batch()
    arrays = kind(num_classes=4)(images, labels, generator())
    tensors = kind(num_classes=4)(Tensor(images), Tensor(labels), generator())
    again = kind()(images, np.eye(4)[labels], generator())
    for one, two, three in zip(arrays, tensors, again, strict=True):
        assert isinstance(two, Tensor) and np.array_equal(one, two.numpy()) and np.array_equal(one, three)
    assert [part.dtype for part in kind(num_classes=4)(images.astype(float), labels, generator())] == [np.float64] * 2


@pytest.fixture(params=[pytest.param(p, marks=needs_compiler) for p in PLACES if p.device == "cuda"], ids=str)
def gpu(request):
    with request.param.active():
        yield request.param


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_on_the_gpu(gpu, kind):
    images, labels = batch()
    expected = kind(num_classes=4)(images, labels, generator())
    there = to_device(images, "cuda")
    for own in (labels, to_device(labels, "cuda")):
        mixed, targets = kind(num_classes=4)(there, own, generator())
        assert type(mixed) is type(there) and type(targets) is type(own)
        assert np.array_equal(to_device(mixed, "cpu"), expected[0]) and np.array_equal(
            to_device(targets, "cpu"), expected[1]
        )


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_what_is_refused(kind):
    images, labels = batch()
    name = kind.__name__
    with pytest.raises(TypeError, match=rf"{name}: images must be float32 \(N, C, H, W\), got uint8 .*normalise"):
        kind(num_classes=4)(images.astype(np.uint8), labels, generator())
    with pytest.raises(TypeError, match=f"{name}: images require a gradient"):
        kind(num_classes=4)(Tensor(images, requires_grad=True), labels, generator())
    with pytest.raises(ValueError, match=f"{name}: give num_classes="):
        kind()(images, labels, generator())
    with pytest.raises(ValueError, match=f"{name}: label 3 is none of num_classes=3"):
        kind(num_classes=3)(images, np.arange(6) % 4, generator())
    with pytest.raises(ValueError, match=rf"{name}: 6 images have labels .*not \(5,\)"):
        kind(num_classes=4)(images, labels[:5], generator())
    with pytest.raises(TypeError, match=f"{name}: labels must be whole numbers, not float64"):
        kind(num_classes=4)(images, labels.astype(float), generator())
    for settings in ({"alpha": 0}, {"alpha": np.nan}, {"num_classes": 0}):
        with pytest.raises(ValueError, match=f"{name}: {next(iter(settings))} must be"):
            kind(**settings)


def test_random_choice():
    chosen, rng = [], generator()
    make = [lambda *inputs, i=i: chosen.append((i, inputs[:-1])) for i in range(3)]
    for _ in range(600):
        RandomChoice(make, p=[1, 0, 3])("a", "b", rng)
    counts = [sum(i == k for i, _ in chosen) for k in range(3)]
    assert counts[1] == 0 and abs(counts[0] - 150) < 40 and {inputs for _, inputs in chosen} == {("a", "b")}
    assert RandomChoice([RandomFlip(1), RandomFlip(0)]).p == [0.5, 0.5]
    for wrong in ([], [1], [0, 0, 0], [1, -1, 1]):
        with pytest.raises(ValueError, match="RandomChoice: "):
            RandomChoice(make, p=wrong)
    with pytest.raises(ValueError, match="no transform to choose from"):
        RandomChoice([])
