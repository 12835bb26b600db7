"""A small synthetic set: ten kinds of texture, drawn by this file as real JPEG files in ImageNet's folder
layout.

It exists so that everything (folders, decoding, augmentation, training, checkpoints) can be run without a
download. The pictures are not photographs and the accuracy on them says nothing about photographs. A class is
a pattern and nothing else: colours, contrast, size, position, tilt, lighting and noise are drawn anew for
each picture.

A pattern is a function d(u, v, rng) of the plane: negative inside the drawn shape, positive outside, |d|
about the distance to its edge, with a period near 1. Drawing it is then one vectorised step: mask = clip(1/2
- d / pixel, 0, 1), which also antialiases the edges.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ..cache import cache_dir, keeping_in
from ..types import Array

VERSION = 1  # raise it whenever another picture would be drawn from the same seed: old caches are then left alone
SIDES = (72, 160)  # pixels; height and width are drawn from this range, each for itself


def draw_sample(
    folder: Path | str | None = None,
    seed: int = 0,
    train_per_class: int = 150,
    val_per_class: int = 50,
    watch: Callable[[Sequence], Iterable] = iter,
) -> Path:
    """Draw the set into a folder of its own under `folder` (default: cache_dir()), once -> that folder's
    path.

    It holds train/<class>/*.JPEG, val/<class>/*.JPEG and a README.txt. A complete set of the same version,
    seed and size is used as it is. It is drawn under another name and renamed at the end, so a half-drawn one
    is never used. watch: what goes through the pictures to draw, such as a bar that shows how far it has come;
    it is called if there is anything to draw.
    CacheError where that cannot be.
    """
    folder = Path(folder) if folder is not None else cache_dir()
    target = folder / f"sample-v{VERSION}-seed{seed}-{train_per_class}+{val_per_class}"
    per_class = {"train": train_per_class, "val": val_per_class}
    if _is_complete(target, per_class):
        return target
    with keeping_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="drawing-") as temporary:
            drawn = Path(temporary) / "complete"
            _draw_all(drawn, seed, per_class, watch)
            if not _is_complete(target, per_class):  # else another process was faster: its pictures are the same
                if target.exists():
                    target.rename(Path(temporary) / "incomplete")
                drawn.rename(target)
    return target


def draw_picture(name: str, rng: np.random.Generator) -> Array:
    """One picture of class `name` -> uint8 (H, W, 3)."""
    height, width = rng.integers(SIDES[0], SIDES[1] + 1, 2)
    pixel = 1 / (min(height, width) * rng.uniform(0.17, 0.28))  # one pixel in units of the pattern's period
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x - width / 2) * pixel, (y - height / 2) * pixel

    pattern, tilt = PATTERNS[name]
    angle = rng.uniform(-tilt, tilt)
    u = x * np.cos(angle) - y * np.sin(angle)
    v = x * np.sin(angle) + y * np.cos(angle)
    mask = np.clip(0.5 - pattern(u, v, rng) / pixel, 0, 1)[..., None]

    ink, paper = _two_colors(rng)
    picture = paper + (ink - paper) * mask
    slope = rng.uniform(-0.25, 0.25, 2) / (np.array([height, width]) * pixel)
    light = rng.uniform(0.8, 1.2) + slope[0] * y + slope[1] * x
    noise = rng.normal(0, rng.uniform(2, 12), picture.shape)
    return np.rint(picture * light[..., None] + noise).clip(0, 255).astype(np.uint8)


def _two_colors(rng):
    """A dark and a bright colour, each with a tint of its own, in random order."""
    brightness = rng.permutation([rng.uniform(40, 100), rng.uniform(155, 215)])
    return brightness[:, None] + rng.uniform(-60, 60, (2, 3))


# --- the patterns ---


def _stripes(u, v, rng):
    return np.abs(_cell(v + rng.random())) - rng.uniform(0.2, 0.3)


def _diagonal(u, v, rng):
    side = rng.choice([-1, 1])
    return _stripes(u, (v + side * u) / np.sqrt(2), rng)


def _waves(u, v, rng):
    return _stripes(u, v + rng.uniform(0.4, 0.5) * np.sin(2 * np.pi * (u / rng.uniform(1.6, 2.2) + rng.random())), rng)


def _checkerboard(u, v, rng):
    a, b = rng.random(2)
    return np.sin(np.pi * (u + a)) * np.sin(np.pi * (v + b)) / np.pi


def _bricks(u, v, rng):
    v = v / 0.8 + rng.random()
    u = u / 1.2 + rng.random() + 0.5 * (np.floor(v + 0.5) % 2)
    joint = rng.uniform(0.08, 0.12)
    return np.maximum(1.2 * np.abs(_cell(u)) - (0.6 - joint), 0.8 * np.abs(_cell(v)) - (0.4 - joint))


def _rings(u, v, rng):
    a, b = rng.uniform(-1, 1, 2)
    return _stripes(u, np.hypot(u - a, v - b), rng)


def _rays(u, v, rng):
    a, b = rng.uniform(-0.7, 0.7, 2)
    count = rng.integers(7, 13)
    turn = np.arctan2(v - b, u - a) * count / (2 * np.pi)
    return _stripes(u, turn, rng) * np.hypot(u - a, v - b) * 2 * np.pi / count


def _triangles(u, v, rng):
    a, b = rng.random(2)
    row = np.floor(v + b)
    height = v + b - row  # 0 at the top of a row, where the tips are, 1 at its bottom
    sides = (2 * np.abs(_cell(u + a + 0.5 * (row % 2))) - height) / np.sqrt(5)
    return np.maximum(sides, height - rng.uniform(0.8, 0.92))


def _dots(u, v, rng):
    v = v / 0.87 + rng.random()
    u = u + rng.random() + 0.5 * (np.floor(v + 0.5) % 2)
    return np.hypot(_cell(u), 0.87 * _cell(v)) - rng.uniform(0.3, 0.38)


def _crosses(u, v, rng):
    u, v = _scatter(u / 1.3, v / 1.3, rng)
    long, short = np.maximum(np.abs(u), np.abs(v)), np.minimum(np.abs(u), np.abs(v))
    return 1.3 * np.maximum(long - rng.uniform(0.4, 0.46), short - rng.uniform(0.07, 0.1))


def _cell(u):
    """Position within the cell of width 1 that u lies in: [-1/2, 1/2)."""
    return (u + 0.5) % 1 - 0.5


def _scatter(u, v, rng):
    """Coordinates about the centre of each cell of a grid; every cell is moved and turned a little on its own."""
    a, b = rng.random(2)
    row, column = (np.floor(w + 0.5).astype(int) % 64 for w in (v + b, u + a))
    move_u, move_v, turn = rng.uniform(-1, 1, (3, 64, 64))[:, row, column]
    u, v = _cell(u + a) - 0.06 * move_u, _cell(v + b) - 0.06 * move_v
    c, s = np.cos(0.3 * turn), np.sin(0.3 * turn)
    return u * c - v * s, u * s + v * c


PATTERNS = {  # name: (pattern, largest tilt of the whole picture in radians)
    "bricks": (_bricks, 0.15), "checkerboard": (_checkerboard, 0.3), "crosses": (_crosses, 0.3),
    "diagonal": (_diagonal, 0.2), "dots": (_dots, 0.3), "rays": (_rays, 0.8), "rings": (_rings, 0.8),
    "stripes": (_stripes, 0.2), "triangles": (_triangles, 0.2), "waves": (_waves, 0.3),
}  # fmt: skip


# --- files ---


def _draw_all(folder, seed, per_class, watch):
    from PIL import Image

    pictures = [
        (split, name, [seed, part, label, number])
        for part, (split, count) in enumerate(per_class.items())
        for label, name in enumerate(PATTERNS)
        for number in range(count)
    ]
    for split in per_class:
        for name in PATTERNS:
            (folder / split / name).mkdir(parents=True)
    for split, name, numbers in watch(pictures):
        rng = np.random.default_rng(numbers)
        picture = Image.fromarray(draw_picture(name, rng))
        picture.save(folder / split / name / f"{name}_{numbers[-1]:05d}.JPEG", quality=int(rng.integers(75, 96)))
    (folder / "README.txt").write_text(
        "These pictures are synthetic: no photographs, but ten kinds of texture drawn by minicnn\n"
        f"(minicnn/data/sample.py, version {VERSION}) from seed {seed}, to go the whole way from JPEG files\n"
        "to a trained network without a download. They may be deleted: minicnn draws them again.\n",
        encoding="utf-8",
    )


def _is_complete(folder, per_class):
    counts = [(folder / split / name, count) for split, count in per_class.items() for name in PATTERNS]
    is_whole = all(len(list(pictures.glob("*.JPEG"))) == count for pictures, count in counts)
    return is_whole and (folder / "README.txt").is_file()
