"""AutoAugment: two operations, each done with a probability of its own, by one of 25 rules that a search has found.

A rule is two operations of policy.py, or Invert; behind each its probability and its level of 0, ..., 9, as RandAugment
counts them from nothing to the most; Equalize, AutoContrast and Invert have none. Where there are two directions, one
is drawn. To the pixel what torchvision makes of the same draw.

Source: Cubuk et al. 2019, "AutoAugment: learning augmentation strategies from data", tables 7 and 9
"""

from typing import Any

from ..settings import one_of
from .policy import Policy, either_way, magnitudes

Rule = tuple[tuple[str, float, int | None], ...]


def _rules(text: str) -> list[Rule]:
    """Of a table with a rule in each line."""
    rules = []
    for line in text.strip().splitlines():
        words = iter(line.split())
        triples = zip(words, words, words, strict=True)
        rules.append(tuple((name, float(p), None if level == "-" else int(level)) for name, p, level in triples))
    return rules


RULES = {
    "imagenet": _rules("""
        Posterize 0.4 8  Rotate 0.6 9
        Solarize 0.6 5  AutoContrast 0.6 -
        Equalize 0.8 -  Equalize 0.6 -
        Posterize 0.6 7  Posterize 0.6 6
        Equalize 0.4 -  Solarize 0.2 4
        Equalize 0.4 -  Rotate 0.8 8
        Solarize 0.6 3  Equalize 0.6 -
        Posterize 0.8 5  Equalize 1 -
        Rotate 0.2 3  Solarize 0.6 8
        Equalize 0.6 -  Posterize 0.4 6
        Rotate 0.8 8  Color 0.4 0
        Rotate 0.4 9  Equalize 0.6 -
        Equalize 0 -  Equalize 0.8 -
        Invert 0.6 -  Equalize 1 -
        Color 0.6 4  Contrast 1 8
        Rotate 0.8 8  Color 1 2
        Color 0.8 8  Solarize 0.8 7
        Sharpness 0.4 7  Invert 0.6 -
        ShearX 0.6 5  Equalize 1 -
        Color 0.4 0  Equalize 0.6 -
        Equalize 0.4 -  Solarize 0.2 4
        Solarize 0.6 5  AutoContrast 0.6 -
        Invert 0.6 -  Equalize 1 -
        Color 0.6 4  Contrast 1 8
        Equalize 0.8 -  Equalize 0.6 -
    """),
    "cifar10": _rules("""
        Invert 0.1 -  Contrast 0.2 6
        Rotate 0.7 2  TranslateX 0.3 9
        Sharpness 0.8 1  Sharpness 0.9 3
        ShearY 0.5 8  TranslateY 0.7 9
        AutoContrast 0.5 -  Equalize 0.9 -
        ShearY 0.2 7  Posterize 0.3 7
        Color 0.4 3  Brightness 0.6 7
        Sharpness 0.3 9  Brightness 0.7 9
        Equalize 0.6 -  Equalize 0.5 -
        Contrast 0.6 7  Sharpness 0.6 5
        Color 0.7 7  TranslateX 0.5 8
        Equalize 0.3 -  AutoContrast 0.4 -
        TranslateY 0.4 3  Sharpness 0.2 6
        Brightness 0.9 6  Color 0.2 8
        Solarize 0.5 2  Invert 0 -
        Equalize 0.2 -  AutoContrast 0.6 -
        Equalize 0.2 -  Equalize 0.6 -
        Color 0.9 9  Equalize 0.6 -
        AutoContrast 0.8 -  Solarize 0.2 8
        Brightness 0.1 3  Color 0.7 0
        Solarize 0.4 5  AutoContrast 0.9 -
        TranslateY 0.9 9  TranslateY 0.7 9
        AutoContrast 0.9 -  Solarize 0.8 3
        Equalize 0.8 -  Invert 0.1 -
        TranslateY 0.7 9  AutoContrast 0.9 -
    """),
}


class AutoAugment(Policy):
    """One of the 25 rules of `policy`, "imagenet" or "cifar10", drawn for each picture."""

    def __init__(
        self, policy: str = "imagenet", interpolation: str = "nearest", fill: Any = 0, mask_fill: int = 0
    ) -> None:
        self.policy = one_of(self, "policy", policy, tuple(RULES))
        self._set(10, interpolation, fill, mask_fill)

    def draw(self, size, rng):
        farthest = tuple(150 / 331 * side for side in size)
        levels = magnitudes(self.num_magnitude_bins, 0.3, farthest, degrees=30, factor=0.9, bits=4)
        rules = RULES[self.policy]
        return [
            (name, 0.0 if level is None else either_way(name, levels[name][level], rng))
            for name, probability, level in rules[rng.integers(len(rules))]
            if rng.random() < probability
        ]
