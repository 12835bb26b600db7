"""AutoAugment and AugMix: torchvision's rules, levels and pixels, and what is drawn."""

from collections import Counter

import numpy as np
import pytest
from checks import raises
from test_policy import SIZE, Fixed, generator, levels_of, random_image

from minicnn.data import AugMix, AutoAugment, to_array
from minicnn.data.auto_augment import RULES


@pytest.mark.parametrize("policy", RULES)
def test_rules_and_levels_are_torchvisions(torchvision, policy):
    from torchvision.transforms import AutoAugmentPolicy

    theirs = torchvision.transforms.AutoAugment(AutoAugmentPolicy(policy))
    assert RULES[policy] == list(theirs.policies) and len(RULES[policy]) == 25
    space = theirs._augmentation_space(10, SIZE[::-1])
    expected = {}
    for name, _, level in (operation for rule in theirs.policies for operation in rule):
        levels, is_signed = space[name]
        magnitude = 0.0 if level is None else float(levels[level])
        expected.setdefault(name, set()).update([magnitude, -magnitude] if is_signed else [magnitude])
    found = levels_of(AutoAugment(policy), generator(), draws=4000)
    assert found.keys() == expected.keys()
    for name, magnitudes in expected.items():
        assert np.allclose(sorted(found[name]), sorted(magnitudes), atol=1e-4), name


def test_operations_have_their_probabilities():
    """And a rule is as likely as another."""
    policy, rng = AutoAugment(), generator()
    drawn = [policy.draw(SIZE, rng) for _ in range(25_000)]
    count = Counter(len(each) for each in drawn)
    both = np.array([[operation[1] for operation in rule] for rule in RULES["imagenet"]])
    expected = {0: (1 - both).prod(axis=1).mean(), 2: both.prod(axis=1).mean()}
    for number, share in expected.items():
        assert count[number] / 25_000 == pytest.approx(share, abs=0.012)
    names = Counter(name for each in drawn for name, _ in each)
    shares = Counter()
    for rule in RULES["imagenet"]:
        for name, probability, _ in rule:
            shares[name] += probability / 25
    assert names.keys() == shares.keys()
    assert all(names[name] / 25_000 == pytest.approx(share, abs=0.012) for name, share in shares.items())


def test_invert_is_torchvisions(torchvision):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import _apply_op

    image = random_image()
    theirs = _apply_op(image, "Invert", 0.0, InterpolationMode.NEAREST, 0)
    assert np.array_equal(to_array(Fixed("Invert", 0.0)(image, generator())), to_array(theirs))


# AugMix


@pytest.mark.parametrize("all_ops", [True, False])
def test_levels_of_a_chain_are_torchvisions(torchvision, all_ops):
    theirs = torchvision.transforms.AugMix(all_ops=all_ops)
    space = theirs._augmentation_space(10, SIZE[::-1])
    found = levels_of(AugMix(severity=4, all_ops=all_ops), generator(), draws=3000)
    assert found.keys() == space.keys()
    for name, (levels, is_signed) in space.items():
        expected = np.atleast_1d(levels.numpy())[:4]
        expected = np.unique(np.concatenate([expected, -expected]) if is_signed else expected)
        assert np.allclose(sorted(found[name]), expected, atol=1e-4), name


def test_the_mean_is_torchvisions_of_the_same_draws(torchvision):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import _apply_op

    image, mix = random_image(), AugMix(severity=8, fill=9)
    for seed in range(12):
        rng = generator(seed)
        kept = rng.beta(1.0, 1.0)
        weights = rng.dirichlet([1.0] * 3) * (1 - kept)
        expected = kept * np.asarray(image, float)
        for weight in weights:
            changed = image
            for name, magnitude in mix.draw(SIZE, rng):
                changed = _apply_op(changed, name, magnitude, InterpolationMode.BILINEAR, 9)
            expected += weight * np.asarray(changed, float)
        found = np.asarray(mix(image, generator(seed)))
        assert found.dtype == np.uint8 and np.abs(found - expected).max() < 1.0 + 1e-9  # rounded down


def test_chains_are_as_long_as_said():
    rng = generator()
    lengths = Counter(len(AugMix().draw(SIZE, rng)) for _ in range(600))
    assert lengths.keys() == {1, 2, 3} and min(lengths.values()) > 150
    assert {len(AugMix(chain_depth=5).draw(SIZE, rng)) for _ in range(9)} == {5}


def test_the_same_generator_gives_the_same_picture():
    image = random_image("L")
    for policy in (AutoAugment("cifar10"), AugMix()):
        one, two = ([to_array(policy(image, rng)) for _ in range(8)] for rng in (generator(1), generator(1)))
        assert np.array_equal(one, two) and len({each.tobytes() for each in one}) > 4


def test_what_cannot_be():
    with raises(ValueError, "AutoAugment: policy must be", "imagenet"):
        AutoAugment("svhn")
    for settings in ({"severity": 11}, {"mixture_width": 0}, {"alpha": 0}):
        with raises(ValueError, f"AugMix: {next(iter(settings))} must be"):
            AugMix(**settings)
    with raises(TypeError, "AugMix takes a picture alone"):
        AugMix()({"image": random_image()}, generator())
