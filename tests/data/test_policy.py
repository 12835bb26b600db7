"""RandAugment and TrivialAugment: torchvision's pixels for every operation and level, and what is drawn."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from minicnn.data import RandAugment, TrivialAugmentWide, to_array
from minicnn.data.policy import NAMES, ONE_WAY

SIZE = 50, 37  # width, height


def generator(seed=0):
    return np.random.default_rng(seed)


def random_image(mode="RGB"):
    pixels = generator().integers(20, 220, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def levels_of(policy, rng, size=SIZE, draws=15_000):
    """{operation: the set of all that was drawn for it}"""
    found = {}
    for _ in range(draws):
        for name, magnitude in policy.draw(size, rng):
            found.setdefault(name, set()).add(magnitude)
    return found


class Fixed(RandAugment):
    """The one operation that it is told."""

    def __init__(self, name, magnitude, **settings):
        super().__init__(**settings)
        self.operation = name, magnitude

    def draw(self, size, rng):
        return [self.operation]


@pytest.mark.parametrize("kind", [RandAugment, TrivialAugmentWide])
def test_levels_are_torchvisions(torchvision, kind):
    theirs = getattr(torchvision.transforms, kind.__name__)()
    space = theirs._augmentation_space(31, *([SIZE[::-1]] if kind is RandAugment else []))
    assert list(space) == list(NAMES) and {name for name, (_, signed) in space.items() if not signed} == set(ONE_WAY)
    policies = [RandAugment(1, level) for level in range(31)] if kind is RandAugment else [TrivialAugmentWide()]
    found = [
        levels_of(policy, generator(i), draws=15_000 if kind is TrivialAugmentWide else 200)
        for i, policy in enumerate(policies)
    ]
    for name, (levels, signed) in space.items():
        drawn = sorted(set().union(*(each[name] for each in found)))
        expected = np.atleast_1d(levels.numpy())
        expected = np.unique(np.concatenate([expected, -expected]) if signed else expected)
        assert np.allclose(drawn, expected, atol=1e-5), name


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("filter", ["nearest", "bilinear"])
def test_every_operation_is_torchvisions(torchvision, mode, filter):
    """To the pixel, at each level, in both directions."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import _apply_op

    fill, image = 7, random_image(mode)
    drawn = levels_of(TrivialAugmentWide(), generator())
    for level in range(0, 31, 6):
        for name, magnitudes in levels_of(RandAugment(1, level), generator(level), draws=150).items():
            drawn[name] = drawn[name] | magnitudes
    assert len(drawn) == 14
    for name, magnitudes in drawn.items():
        for magnitude in magnitudes:
            ours = Fixed(name, magnitude, interpolation=filter, fill=fill)(image, generator())
            theirs = _apply_op(image, name, magnitude, InterpolationMode[filter.upper()], fill)
            assert np.array_equal(to_array(ours), to_array(theirs)), (name, magnitude)


def test_each_operation_is_as_likely_as_another():
    count = Counter(name for _ in range(7000) for name, _ in RandAugment().draw(SIZE, generator_of_all))
    assert set(count) == set(NAMES) and all(850 < each < 1150 for each in count.values())
    trivial = [TrivialAugmentWide().draw(SIZE, generator_of_all) for _ in range(100)]
    assert all(len(drawn) == 1 for drawn in trivial)


generator_of_all = np.random.default_rng(5)


def test_masks_and_boxes_follow_what_is_moved():
    image = random_image()
    mask = np.zeros(SIZE[::-1], np.int64)
    mask[10:20, 5:15] = 3
    sample = {"image": image, "mask": mask, "boxes": [[5, 10, 15, 20]], "labels": [8]}
    moved = Fixed("TranslateX", 4.9, mask_fill=-1)(sample, generator())
    assert (moved["mask"][10:20, 9:19] == 3).all() and (moved["mask"][:, :4] == -1).all()
    assert moved["boxes"].tolist() == [[9, 10, 19, 20]] and moved["labels"].tolist() == [8]
    same = Fixed("Solarize", 100.0)(sample, generator())
    assert np.array_equal(same["mask"], mask) and not np.array_equal(to_array(same["image"]), to_array(image))


def test_the_same_generator_gives_the_same_picture():
    image = random_image()
    for policy in (RandAugment(3, 20), TrivialAugmentWide()):
        one, two = ([to_array(policy(image, rng)) for _ in range(8)] for rng in (generator(1), generator(1)))
        assert np.array_equal(one, two) and len({each.tobytes() for each in one}) > 4


def test_settings_that_cannot_be():
    for settings in (
        {"num_ops": 0},
        {"magnitude": 31},
        {"num_magnitude_bins": 1},
        {"interpolation": "x"},
        {"fill": -1},
    ):
        with pytest.raises(ValueError, match=f"RandAugment: {next(iter(settings))} must be"):
            RandAugment(**settings)
    with pytest.raises(TypeError, match="TrivialAugmentWide: num_magnitude_bins must be a whole number"):
        TrivialAugmentWide(2.5)
    with pytest.raises(TypeError, match="Fixed: Equalize takes pictures of mode 'RGB' or 'L', not 'RGBA'"):
        Fixed("Equalize", 0.0)(random_image("RGBA"), generator())
