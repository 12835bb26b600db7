"""Crops and sizes: torchvision is the oracle."""

import numpy as np
import pytest
from PIL import Image

from minicnn.data import (
    BadImage,
    CenterCrop,
    ColorNoise,
    Compose,
    Pad,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomShorterSide,
    ResizeShorter,
    TenCrop,
    WithMirror,
    to_array,
)


def generator(seed=0):
    return np.random.default_rng(seed)


def random_image(width, height, seed=0):
    return Image.fromarray(generator(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def coordinates(width, height):
    """Red holds x, green holds y: a crop then tells where it was cut."""
    y, x = np.mgrid[:height, :width].astype(np.uint8)
    return Image.fromarray(np.stack([x, y, 0 * x], axis=-1))


SIZES = [(50, 31), (31, 50), (40, 40), (33, 47), (21, 21), (100, 22)]


def test_to_array_is_channels_first_and_contiguous():
    image = random_image(7, 5)
    array = to_array(image)
    assert array.shape == (3, 5, 7) and array.dtype == np.uint8 and array.flags["C_CONTIGUOUS"]
    assert (array[2, 4, 6] == np.asarray(image)[4, 6, 2]).all()
    assert to_array(array) is array


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGBA", 4)])
def test_to_array_of_other_modes(mode, channels):
    image = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).convert(mode)
    array = to_array(image)
    assert array.shape == (channels, 4, 5) and array.flags["C_CONTIGUOUS"] and array.flags.writeable
    assert np.array_equal(array[0], np.asarray(image.getchannel(0)))
    for other in ("P", "1", "CMYK", "F"):
        with pytest.raises(TypeError, match=rf"mode 'RGB' or 'L', not '{other}'; image.convert"):
            to_array(image.convert("L").convert(other))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic", "nearest"])
def test_filters_are_torchvisions(filter):
    transforms, image = pytest.importorskip("torchvision.transforms"), random_image(50, 31)
    expected = transforms.Resize(21, transforms.InterpolationMode[filter.upper()])(image)
    assert np.array_equal(to_array(ResizeShorter(21, filter)(image)), to_array(expected))
    assert np.array_equal(to_array(RandomShorterSide(21, 21, filter)(image, generator())), to_array(expected))
    whole = RandomResizedCrop(24, (1, 1), (50 / 31, 50 / 31), filter)(image, generator())
    assert np.array_equal(
        to_array(whole), to_array(transforms.Resize((24, 24), transforms.InterpolationMode[filter.upper()])(image))
    )
    for transform in (ResizeShorter, RandomResizedCrop):
        with pytest.raises(ValueError, match=f"{transform.__name__}: interpolation must be 'bilinear' or 'bicubic'"):
            transform(21, interpolation="lanczos")


@pytest.mark.parametrize("size", SIZES)
def test_resize_and_crops_equal_torchvisions(size):
    transforms = pytest.importorskip("torchvision.transforms")
    image = random_image(*size)
    for side in (21, 30, 57):
        theirs = transforms.Resize(side)(image)
        assert np.array_equal(to_array(ResizeShorter(side)(image)), to_array(theirs))
    assert np.array_equal(to_array(CenterCrop(20)(image)), to_array(transforms.CenterCrop(20)(image)))
    theirs = np.stack([to_array(crop) for crop in transforms.TenCrop(20)(image)])
    assert np.array_equal(TenCrop(20)(image), theirs)


def test_resize_keeps_an_image_that_already_fits():
    image = random_image(40, 30)
    assert ResizeShorter(30)(image) is image


class Sized:
    """A picture without pixels or mode, and what it was resized to."""

    def __init__(self, *size):
        self.size = size

    def getbands(self):
        return tuple("RGB")

    def resize(self, size, *args, **more):
        self.asked = size
        return self


@pytest.mark.parametrize("size", [(30_000, 2), (2, 30_000), (1, 1_100), (100_000_000, 1)])
def test_a_long_thin_picture_is_refused_before_it_fills_the_memory(size):
    image = Sized(*size)
    for transform in (ResizeShorter(256), RandomShorterSide(256, 256)):
        with pytest.raises(BadImage, match=f"a picture of {size[0]} x {size[1]} pixels: too long and thin") as caught:
            transform(image, generator())
        assert ("67,108,864 pixels" in str(caught.value) and "x 256" in str(caught.value)) or "256 x" in str(
            caught.value
        )
    assert not hasattr(image, "asked")


@pytest.mark.parametrize("size", [(1, 1_024), (1_024, 1), (20_000, 8_000), (8_000, 20_000), (300, 70_000)])
def test_other_pictures_are_resized_as_ever(size):
    image, side = Sized(*size), 256
    ResizeShorter(side)(image)
    assert image.asked == (side * size[0] // min(size), side * size[1] // min(size))


def test_a_picture_that_shrinks_is_never_too_long():
    image = Sized(20_000, 5_000)  # 100 million pixels, to 90 million
    ResizeShorter(4_750)(image)
    assert image.asked == (19_000, 4_750)


def test_random_crop_reaches_every_position_and_no_other():
    rng, image = generator(), coordinates(9, 7)
    seen = set()
    for _ in range(400):
        crop = to_array(RandomCrop(5)(image, rng))
        assert crop.shape == (3, 5, 5)
        seen.add((int(crop[0, 0, 0]), int(crop[1, 0, 0])))
    assert seen == {(x, y) for x in range(5) for y in range(3)}


def test_flip_mirrors_left_and_right_half_the_time():
    rng, image = generator(), coordinates(4, 3)
    first = [int(to_array(RandomFlip()(image, rng))[0, 0, 0]) for _ in range(400)]
    assert set(first) == {0, 3}
    assert 160 < first.count(3) < 240
    assert to_array(RandomFlip(1)(image, rng))[1, :, 0].tolist() == [0, 1, 2]
    assert RandomFlip(0)(image, rng) is image


def test_random_shorter_side_draws_both_ends():
    rng, image = generator(), random_image(40, 30)
    sides = {min(RandomShorterSide(10, 12)(image, rng).size) for _ in range(50)}
    assert sides == {10, 11, 12}


def test_ten_crops_of_a_constant_image_are_the_centre_crop():
    image = Image.new("RGB", (30, 25), (9, 99, 199))
    crops = TenCrop(20)(image)
    assert crops.shape == (10, 3, 20, 20) and crops.dtype == np.uint8
    assert (crops == to_array(CenterCrop(20)(image))).all()


def test_ten_crops_come_in_the_documented_order():
    crops = TenCrop(4)(coordinates(10, 8))
    corners = [(int(crop[0, 0, 0]), int(crop[1, 0, 0])) for crop in crops]
    assert corners[:5] == [(0, 0), (6, 0), (0, 4), (6, 4), (3, 2)]
    mirrored = crops[5:, :, :, ::-1]  # the top left of the mirror image is the top right of the picture
    assert (mirrored == crops[[1, 0, 3, 2, 4]]).all()


def test_the_whole_picture_and_its_mirror_image():
    image = coordinates(10, 8)
    both = WithMirror()(image)
    assert both.shape == (2, 3, 8, 10) and both.dtype == np.uint8
    assert (both[0] == to_array(image)).all() and (both[1] == both[0, :, :, ::-1]).all()


@pytest.mark.parametrize("transform", [CenterCrop(20), RandomCrop(20), TenCrop(20)])
@pytest.mark.parametrize("size", [(19, 30), (30, 19)])
def test_a_crop_from_a_smaller_image_names_the_sizes_and_the_way_out(transform, size):
    message = f"{type(transform).__name__}: cannot cut 20x20 from an image of {size[0]}x{size[1]} pixels; put ResizeS"
    with pytest.raises(ValueError, match=message):
        transform(random_image(*size), generator())


def test_compose_repeats_with_the_same_generator_and_prints_itself():
    recipe = Compose([RandomShorterSide(24, 40), RandomCrop(20), RandomFlip(), ColorNoise.imagenet()])
    image = random_image(50, 40)
    results = [to_array(recipe(image, generator(seed))) for seed in (1, 1, 2)]
    assert results[0].shape == (3, 20, 20)
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    assert repr(recipe) == (
        "Compose([RandomShorterSide(24, 40, bilinear), RandomCrop(20), RandomFlip(0.5), "
        "ColorNoise(sigma=0.1, sqrt=False)])"
    )


@pytest.mark.parametrize("make", [lambda: RandomShorterSide(9, 8), lambda: RandomFlip(1.5), lambda: ColorNoise(-1)])
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"9|1\.5|-1"):
        make()


def test_random_resized_crop_equals_torchvisions_of_the_same_window():
    functional = pytest.importorskip("torchvision.transforms.functional")
    rng, image = generator(), random_image(50, 40)
    for _ in range(5):
        transform, state = RandomResizedCrop(24), rng.bit_generator.state
        window, _ = transform.moves(image.size, rng)
        rng.bit_generator.state = state
        theirs = functional.resized_crop(image, window.top, window.left, *window.size[::-1], [24, 24])
        assert np.array_equal(to_array(transform(image, rng)), to_array(theirs))


def test_random_resized_crop_draws_what_it_says():
    rng = generator()
    drawn = [RandomResizedCrop(9, (0.1, 0.3), (0.5, 2.0)).moves((200, 220), rng)[0] for _ in range(3000)]
    left, top, width, height = np.array([(w.left, w.top, *w.size) for w in drawn]).T
    assert left.min() == top.min() == 0 and (left + width).max() == 200 and (top + height).max() == 220
    area, shape = width * height / 44_000, np.log2(width / height)
    assert 0.098 < area.min() < 0.102 and 0.298 < area.max() < 0.302 and abs(area.mean() - 0.2) < 0.005
    assert -1.03 < shape.min() < -0.97 and 0.97 < shape.max() < 1.03 and abs(shape.mean()) < 0.05


@pytest.mark.parametrize("size", [(10, 200), (200, 10), (60, 50), (1, 50)])
def test_a_shape_that_does_not_fit_becomes_torchvisions_crop_of_the_middle(size):
    transforms = pytest.importorskip("torchvision.transforms")
    whole = (1.0, 1.0), ((2.0, 2.0) if size == (60, 50) else (3 / 4, 4 / 3))
    window, resize = RandomResizedCrop(8, *whole).moves(size, generator())
    theirs = transforms.RandomResizedCrop.get_params(random_image(*size), *map(list, whole))
    assert (window.top, window.left, *window.size[::-1]) == theirs and resize.size == (8, 8)


def test_pad_puts_a_border_around():
    image = random_image(5, 4)
    array = to_array(Pad(2, fill=(1, 2, 3))(image))
    assert array.shape == (3, 8, 9) and np.array_equal(array[:, 2:-2, 2:-2], to_array(image))
    array[:, 2:-2, 2:-2] = np.array([1, 2, 3])[:, None, None]
    assert (array == np.array([1, 2, 3])[:, None, None]).all()
    assert (to_array(Pad(3)(image.convert("L")))[0, :3] == 0).all()
    assert (to_array(Pad(1, 9)(image.convert("L")))[0, 0] == 9).all()


@pytest.mark.parametrize("kind", [ResizeShorter, CenterCrop, RandomCrop, TenCrop, RandomResizedCrop, Pad])
def test_sizes_are_whole_numbers(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__}: (size|border) must be a whole number, got 2\.5"):
        kind(2.5)
    with pytest.raises(ValueError, match=f"{kind.__name__}: (size|border) must be at least"):
        kind(-1)


def test_ranges_that_cannot_be():
    for scale in ((0.5, 0.2), (0, 1), (0.5, 1.5), 0.5, (0.1, 0.2, 0.3), (0.1, "1")):
        with pytest.raises((ValueError, TypeError), match="RandomResizedCrop: scale must be"):
            RandomResizedCrop(8, scale)
    for ratio in ((0, 1), (-1, 1), (2, 1), 1):
        with pytest.raises((ValueError, TypeError), match="RandomResizedCrop: ratio must be"):
            RandomResizedCrop(8, ratio=ratio)
