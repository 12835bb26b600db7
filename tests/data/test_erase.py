"""Squares and rectangles that are taken away."""

import numpy as np
import pytest
from PIL import Image

from minicnn.data import Cutout, RandomErasing, to_array


def generator(seed=0):
    return np.random.default_rng(seed)


def test_cutout_sets_a_square_and_nothing_else():
    rng, white = generator(), Image.new("RGB", (9, 7), (255, 255, 255))
    seen = set()
    for _ in range(1000):
        array = to_array(Cutout(4, fill=(1, 2, 3))(white, rng))
        rows, columns = np.nonzero(array[0] == 1)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        assert (array[:, top:bottom, left:right] == np.array([1, 2, 3])[:, None, None]).all()
        assert (array == 255).all(axis=0).sum() == 63 - (bottom - top) * (right - left)
        seen.add((left, right, top, bottom))
    spans = [{(max(0, i - 2), min(size, i + 2)) for i in range(size)} for size in (9, 7)]  # as in the authors' code
    assert seen == {(*x, *y) for x in spans[0] for y in spans[1]}
    assert (np.asarray(white) == 255).all()


def test_cutout_of_grey_pictures_and_large_squares():
    grey = Image.new("L", (9, 7), 50)
    assert (to_array(Cutout(40)(grey, generator())) == 0).all()
    with pytest.raises(ValueError, match=r"Cutout: fill=\(1, 2, 3\) has 3 numbers, and the picture 1 channels"):
        Cutout(4, (1, 2, 3))(grey, generator())
    for settings in ((0,), (2.5,), (4, 256), (4, (0, 0, -1)), (4, "black")):
        with pytest.raises((ValueError, TypeError), match=r"Cutout: (length|fill) must be"):
            Cutout(*settings)


def erased(transform, image, rng):
    """(top, left, height, width) of what the transform has changed in a black picture; None if nothing."""
    changed = (to_array(transform(image, rng)) != 0).any(axis=0)
    if not changed.any():
        return None
    rows, columns = np.nonzero(changed.any(axis=1))[0], np.nonzero(changed.any(axis=0))[0]
    box = rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert changed.sum() == box[2] * box[3]  # a rectangle, without holes
    return box


def test_random_erasing_draws_what_it_says():
    rng, black = generator(), Image.new("RGB", (80, 60))
    transform = RandomErasing(0.7, scale=(0.05, 0.2), ratio=(0.5, 2.0), value=255)
    boxes = [erased(transform, black, rng) for _ in range(2000)]
    found = np.array([box for box in boxes if box])
    assert abs(len(found) / 2000 - 0.7) < 0.04 and (np.asarray(black) == 0).all()
    top, left, height, width = found.T
    assert top.min() == left.min() == 0 and (top + height).max() == 60 and (left + width).max() == 80
    area, shape = height * width / 4800, np.log2(height / width)
    assert 0.045 < area.min() < 0.06 and 0.19 < area.max() < 0.21 and abs(area.mean() - 0.125) < 0.005
    assert -1.1 < shape.min() < -0.9 and 0.9 < shape.max() < 1.1 and abs(shape.mean()) < 0.05


def test_what_random_erasing_puts_there():
    rng, grey = generator(), Image.new("RGB", (40, 40), (9, 9, 9))
    always = {"p": 1, "scale": (0.2, 0.2), "ratio": (1, 1)}
    colour = to_array(RandomErasing(**always, value=(1, 2, 3))(grey, rng))
    assert {tuple(pixel) for pixel in colour.reshape(3, -1).T.tolist()} == {(9, 9, 9), (1, 2, 3)}
    noise = to_array(RandomErasing(**always, value="random")(grey, rng))
    changed = noise[:, (noise != 9).any(axis=0)]
    assert len(np.unique(changed)) > 150 and abs(changed.mean() - 127.5) < 10
    assert to_array(RandomErasing(**always, value="random")(grey.convert("L"), rng)).shape == (1, 40, 40)


def test_a_rectangle_that_never_fits_erases_nothing():
    image = Image.new("RGB", (40, 4), (9, 9, 9))
    for settings in ({"scale": (1, 1)}, {"scale": (0.5, 0.5), "ratio": (3, 3)}):
        assert RandomErasing(1, **settings)(image, generator()) is image
    assert RandomErasing(1, scale=(0.2, 0.2), ratio=(0.05, 0.05))(image, generator()) is not image
    assert RandomErasing(0)(image, generator()) is image


def test_erasing_that_cannot_be():
    for settings in ({"p": 1.1}, {"scale": (0.5, 1.1)}, {"scale": 0.2}, {"ratio": (0, 1)}, {"value": "black"}):
        with pytest.raises((ValueError, TypeError), match=f"RandomErasing: {next(iter(settings))} must be"):
            RandomErasing(**settings)
