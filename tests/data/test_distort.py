"""Distortions: torchvision as the oracle for affine ones, plain float64 arithmetic for the lens, exact small cases."""

import numpy as np
import pytest
from PIL import Image

from minicnn.data import LensDistortion, RandomAffine, RandomRotation, RandomStretch, to_array
from minicnn.data.geometry import Affine, Lens

DISTORTIONS = {
    "RandomAffine": lambda **more: RandomAffine(20, (0.1, 0.2), (0.8, 1.2), (-10, 10, -5, 5), **more),
    "RandomRotation": lambda **more: RandomRotation(30, **more),
    "RandomStretch": lambda **more: RandomStretch((0.5, 2), **more),
    "LensDistortion": lambda **more: LensDistortion(0.24, **more),
}


def generator(seed=0):
    return np.random.default_rng(seed)


def random_image(width, height, seed=0):
    return Image.fromarray(generator(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def exactly(*numbers):
    """Ranges that hold one number each."""
    return tuple(each for number in numbers for each in (number, number))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("fill", [0, (9, 99, 199)])
def test_affine_equals_torchvisions(interpolation, fill):
    functional = pytest.importorskip("torchvision.transforms.functional")
    image = random_image(33, 24)
    for degrees, scale, x, y in ((0, 1, 0, 0), (30, 1, 0, 0), (-70, 1.3, 0, 0), (10, 0.6, 20, 0), (200, 1, -15, 35)):
        ours = RandomAffine(exactly(degrees), None, exactly(scale), exactly(x, y), interpolation, fill)
        mode = functional.InterpolationMode(interpolation)
        theirs = functional.affine(
            image, degrees, [0, 0], scale, [x, y], mode, list(np.atleast_1d(fill).tolist() * 3)[:3]
        )
        assert np.array_equal(to_array(ours(image, generator())), to_array(theirs))


def test_rotation_equals_torchvisions():
    functional = pytest.importorskip("torchvision.transforms.functional")
    for size in ((33, 24), (20, 20)):
        for degrees in (-50, 0, 33, 90, 180):
            theirs = functional.rotate(random_image(*size), degrees)  # the nearest pixel
            ours = RandomRotation(exactly(degrees), "nearest")(random_image(*size), generator())
            assert np.array_equal(to_array(ours), to_array(theirs))


def test_a_quarter_turn_counter_clockwise_and_clockwise():
    image = random_image(6, 6)
    turned = np.rot90(to_array(image), axes=(1, 2))
    assert np.array_equal(to_array(RandomRotation((90, 90), "nearest")(image, generator())), turned)
    assert np.array_equal(to_array(RandomAffine((-90, -90), interpolation="nearest")(image, generator())), turned)


def test_translation_is_by_whole_pixels_to_either_side():
    rng, image, seen = generator(), random_image(10, 8), set()
    padded = np.pad(to_array(image), ((0, 0), (2, 2), (3, 3)))
    for _ in range(600):
        transform, state = RandomAffine(0, (0.3, 0.25)), rng.bit_generator.state
        x, y = transform.moves(image.size, rng)[0].shift.astype(int).tolist()
        rng.bit_generator.state = state
        assert np.array_equal(to_array(transform(image, rng)), padded[:, 2 - y : 10 - y, 3 - x : 13 - x])
        seen.add((x, y))
    assert seen == {(x, y) for x in range(-3, 4) for y in range(-2, 3)}


def test_twice_as_wide():
    """Each pixel of the middle becomes two, of which the nearest are copies."""
    image = random_image(8, 6)
    wide = Affine.around(np.array([4, 3]), np.diag([2, 1])).image(image, "nearest", 0)
    assert np.array_equal(to_array(wide), to_array(image)[:, :, 2:6].repeat(2, axis=2))


def test_stretching_is_drawn_for_each_side_alone():
    drawn = np.array([np.diag(RandomStretch((0.5, 2)).moves((9, 9), generator(i))[0].matrix) for i in range(500)])
    assert 0.5 <= drawn.min() < 0.52 and 1.95 < drawn.max() <= 2
    assert abs(np.log(drawn).mean()) < 0.05 and abs(np.corrcoef(drawn.T)[0, 1]) < 0.15


# The lens


def plain_lens(array, bend, fill):
    """(H, W, C) -> float64, pixel by pixel."""
    height, width, _ = array.shape
    out = np.empty(array.shape)
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5 - width / 2, row + 0.5 - height / 2
            scale = 1 / (1 + bend * (x**2 + y**2) / ((width / 2) ** 2 + (height / 2) ** 2))
            x, y = x * scale + width / 2, y * scale + height / 2
            if not (0 <= x < width and 0 <= y < height):
                out[row, column] = fill
                continue
            left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
            a, b = x - 0.5 - left, y - 0.5 - top
            columns, rows = np.clip([left, left + 1], 0, width - 1), np.clip([top, top + 1], 0, height - 1)
            out[row, column] = np.array([1 - b, b]) @ np.tensordot([1 - a, a], array[np.ix_(rows, columns)], (0, 1))
    return out


@pytest.mark.parametrize("bend", [-0.24, -0.1, 0.1, 0.24])
def test_the_lens_equals_plain_arithmetic(bend, monkeypatch):
    image, fill = random_image(31, 22), (9, 99, 199)
    lens = Lens(bend, image.size)
    moved = np.asarray(lens.image(image, "bilinear", fill))
    assert np.abs(moved - plain_lens(np.asarray(image), bend, fill)).max() <= 0.51  # rounded
    grey = image.convert("L")
    assert (
        np.abs(
            np.asarray(lens.image(grey, "bilinear", 9)) - plain_lens(np.asarray(grey)[..., None], bend, 9)[..., 0]
        ).max()
        <= 0.51
    )
    monkeypatch.setattr("minicnn.data.geometry.BAND", 3 * 31)  # the last band has one row
    assert np.array_equal(lens.image(image, "bilinear", fill), moved)


def test_barrels_bulge_and_pincushions_pinch():
    size = (200, 100)
    line = np.stack([np.linspace(0, 200, 21), np.full(21, 20.0)], axis=-1)
    for bend, bulges in ((-0.2, True), (0.2, False)):
        height = 50 - Lens(bend, size).points(line)[:, 1]
        assert (height.argmax() == 10) == bulges and (height[0] == pytest.approx(height[20]))
        assert (height < 30).all() == bulges  # a barrel shows more of the picture, and smaller
    assert np.array_equal(Lens(0.2, size).points(np.array([100.0, 50.0])), [100, 50])


def test_where_a_point_goes_is_where_its_pixel_is_read():
    for bend in (-0.24, 0.24, 1e-9, 0):
        points = generator().uniform(0, 1, (500, 2)) * (70, 50)
        after = Lens(bend, (70, 50)).points(points) - (35, 25)
        before = after / (1 + bend * (after**2).sum(axis=1, keepdims=True) / (35**2 + 25**2))
        assert np.allclose(before + np.array([35, 25]), points, atol=1e-9)


# All of them


@pytest.mark.parametrize("make", [RandomAffine, RandomRotation, LensDistortion, lambda bend: RandomStretch((1, 1))])
def test_nothing_drawn_is_the_identity(make):
    image = random_image(23, 17)
    assert np.array_equal(to_array(make(0)(image, generator())), to_array(image))


@pytest.mark.parametrize("name", DISTORTIONS)
def test_seeds_repeat(name):
    image = random_image(40, 30)
    one, same, other = (to_array(DISTORTIONS[name]()(image, generator(seed))) for seed in (1, 1, 2))
    assert one.shape == (3, 30, 40) and np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_grey_pictures(name):
    """Go where coloured ones go."""
    grey = random_image(40, 30).convert("L")
    moved = to_array(DISTORTIONS[name]()(grey, generator(1)))
    assert np.abs(moved - to_array(DISTORTIONS[name]()(grey.convert("RGB"), generator(1)))[:1].astype(int)).max() <= 1


@pytest.mark.parametrize("name", DISTORTIONS)
def test_settings_that_cannot_be(name):
    for settings in ({"interpolation": "cubic"}, {"fill": 256}, {"fill": (1, -1, 0)}, {"mask_fill": 0.5},
                     {"mask_fill": 2**31}):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=f"{name}: {next(iter(settings))} must be"):
            DISTORTIONS[name](**settings)


@pytest.mark.parametrize(
    "make, problem",
    [
        (lambda: RandomAffine(-5), "RandomAffine: degrees must be at least 0, got -5"),
        (lambda: RandomAffine((5, 4)), "degrees must be .low, high., and 5 is above 4"),
        (lambda: RandomAffine(5, 0.1), "translate must be a pair of numbers, got 0.1"),
        (lambda: RandomAffine(5, (0.1, 1.1)), "translate must be at least 0 and at most 1, got 1.1"),
        (lambda: RandomAffine(5, scale=(0, 1)), "scale must be above 0, got 0"),
        (lambda: RandomAffine(5, shear=90), "shear must be above -90 and below 90, got"),
        (lambda: RandomAffine(5, shear=(1, 2, 3)), "shear must be a pair of numbers"),
        (lambda: RandomRotation("5"), "RandomRotation: degrees must be a number, got '5'"),
        (lambda: RandomRotation(float("nan")), "RandomRotation: degrees must be at least 0, got nan"),
        (lambda: RandomStretch(1.2), "RandomStretch: scale must be a pair of numbers"),
        (lambda: LensDistortion(0.25), "LensDistortion: bend must be above -0.25 and below 0.25"),
    ],
)
def test_ranges_that_cannot_be(make, problem):
    with pytest.raises((ValueError, TypeError), match=problem):
        make()
