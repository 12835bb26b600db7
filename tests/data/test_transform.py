"""Pictures with masks and boxes: they stay on the object, whatever the transform; and what does not belong together."""

import re

import numpy as np
import pytest
from PIL import Image

from minicnn.data import (
    CenterCrop,
    ColorJitter,
    ColorNoise,
    Compose,
    Cutout,
    DataLoader,
    LensDistortion,
    Pad,
    RandomAffine,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShorterSide,
    RandomStretch,
    ResizeShorter,
    TenCrop,
    WithMirror,
    to_array,
)

WIDTH, HEIGHT = 96, 72
AFFINE = {"degrees": 40, "translate": (0.2, 0.2), "scale": (0.7, 1.3), "shear": (-20, 20, -10, 10)}
GEOMETRIC = [
    ResizeShorter(50), RandomShorterSide(40, 90), CenterCrop(60), RandomCrop(60), RandomResizedCrop(64, (0.3, 1)),
    Pad(5), RandomFlip(1), RandomAffine(**AFFINE), RandomRotation(90), RandomStretch((0.5, 2)), LensDistortion(0.24),
    RandomAffine(**AFFINE, interpolation="nearest"), LensDistortion(0.24, "nearest"),
    Compose([Pad(9), RandomRotation(20), RandomCrop(70), RandomFlip(), ColorJitter(0.1), LensDistortion(), Cutout(1)]),
]  # fmt: skip
PHOTOMETRIC = [ColorJitter(0.5, 0.5, 0.5, 0.2), ColorNoise.imagenet(), Cutout(20, 99)]


def generator(seed=0):
    return np.random.default_rng(seed)


def rectangle(box, size=(WIDTH, HEIGHT), dtype=np.uint8):
    """A mask with ones in the box."""
    mask = np.zeros(size[::-1], dtype)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = 1
    return mask


def sample(box=(30, 20, 60, 44), dtype=np.uint8):
    """A white rectangle on black, the same in the mask, its box."""
    mask = rectangle(box, dtype=dtype)
    return {"image": Image.fromarray(255 * np.repeat(mask.astype(np.uint8)[..., None], 3, axis=2)), "mask": mask,
            "boxes": np.array([box]), "labels": np.array([7]), "name": "a rectangle"}  # fmt: skip


def around(mask):
    """The box around the ones of a mask."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("transform", GEOMETRIC, ids=lambda transform: type(transform).__name__)
@pytest.mark.parametrize("seed", range(4))
def test_masks_and_boxes_stay_on_the_object(transform, seed):
    moved = transform(sample(), generator(seed))
    image, mask = to_array(moved["image"])[0] / 255, moved["mask"]
    assert mask.shape == image.shape and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}
    assert ((image > 0.5) != mask).mean() < 0.01  # at the edges, where the picture is in between
    assert np.array_equal(image, to_array(transform(sample()["image"], generator(seed)))[0] / 255)
    assert moved["boxes"].shape == (1, 4) and moved["boxes"].dtype == np.float32
    slack = 1.6 if not isinstance(transform, Compose) else 16  # a box of a box turned is larger
    assert np.abs(moved["boxes"][0] - around(mask)).max() < slack
    assert moved["labels"].tolist() == [7] and moved["name"] == "a rectangle"


@pytest.mark.parametrize("transform", [t for t in GEOMETRIC if getattr(t, "interpolation", "") == "nearest"], ids=repr)
def test_the_nearest_pixels_mask_is_the_picture(transform):
    for seed in range(20):
        moved = transform(sample(), generator(seed))
        assert np.array_equal(to_array(moved["image"])[0], 255 * moved["mask"])


@pytest.mark.parametrize("bend", [-0.24, 0.24])
def test_a_box_holds_its_edges_where_a_lens_has_bent_them(bend):
    """Outwards by a barrel: their middle lies farther out than their ends."""
    transform = LensDistortion((bend, bend))
    for box in ((8, 6, 88, 66), (30, 30, 85, 44), (2, 20, 60, 70)):
        moved = transform(sample(box), generator())
        assert np.abs(moved["boxes"][0] - around(moved["mask"])).max() < 1


@pytest.mark.parametrize("transform", PHOTOMETRIC, ids=lambda transform: type(transform).__name__)
def test_colours_leave_mask_and_boxes_alone(transform):
    before = sample()
    after = transform(before, generator(3))
    assert np.array_equal(after["mask"], before["mask"]) and np.array_equal(after["boxes"], before["boxes"])
    assert np.array_equal(to_array(after["image"]), to_array(transform(before["image"], generator(3))))
    assert not np.array_equal(to_array(after["image"]), to_array(before["image"]))


def test_a_sample_itself_is_not_changed():
    before = sample()
    Compose(GEOMETRIC[5:11] + PHOTOMETRIC)(before, generator())
    for key, value in sample().items():
        assert np.array_equal(before[key], value), key


def test_exact_boxes():
    mirrored = RandomFlip(1)({"image": Image.new("L", (10, 8)), "boxes": [[1, 2, 4, 7]]}, generator())
    assert mirrored["boxes"].tolist() == [[6, 2, 9, 7]]
    resized = ResizeShorter(4)({"image": Image.new("L", (10, 8)), "boxes": [[1, 2, 4, 7]]})
    assert resized["boxes"].tolist() == [[0.5, 1, 2, 3.5]] and resized["image"].size == (5, 4)
    padded = Pad(3)({"image": Image.new("L", (10, 8)), "boxes": [[1, 2, 4, 7]]})
    assert padded["boxes"].tolist() == [[4, 5, 7, 10]] and padded["image"].size == (16, 14)
    turned = RandomRotation((90, 90))({"image": Image.new("L", (8, 8)), "boxes": [[1, 2, 4, 7]]}, generator())
    assert turned["boxes"] == pytest.approx(np.array([[2, 4, 7, 7]]), abs=1e-5)


def test_boxes_are_cut_at_the_edge_and_dropped_where_nothing_is_left():
    boxes = [[0, 0, 4, 4], [2, 2, 8, 8], [5, 5, 6, 6], [8, 0, 10, 10], [0, 0, 10, 10], [0, 3, 3.001, 7]]
    before = {"image": Image.new("RGB", (10, 10)), "boxes": boxes, "labels": [[i, 10 * i] for i in range(6)]}
    after = CenterCrop(4)(before)  # 3 to 7, in both
    assert after["boxes"].tolist() == [[0, 0, 1, 1], [0, 0, 4, 4], [2, 2, 3, 3], [0, 0, 4, 4]]
    assert after["labels"].tolist() == [[0, 0], [1, 10], [2, 20], [4, 40]]
    nothing = CenterCrop(4)({**before, "boxes": [[0, 0, 1, 1]], "labels": [5]})
    assert nothing["boxes"].shape == (0, 4) and nothing["labels"].shape == (0,)
    again = RandomAffine(10)(nothing, generator())
    assert again["boxes"].shape == (0, 4) and again["boxes"].dtype == np.float32


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int32, np.int64])
def test_masks_keep_their_dtype_and_their_classes(dtype):
    fill = {np.bool_: 1, np.uint8: 255}.get(dtype, -100)
    before = sample((0, 0, WIDTH, HEIGHT), dtype)
    for transform in (
        Pad(2, 9, fill),
        RandomRotation((45, 45), "nearest", 9, fill),
        LensDistortion((-0.2, -0.2), "nearest", 9, fill),
    ):
        after = transform(before, generator())
        assert after["mask"].dtype == dtype and set(np.unique(after["mask"]).tolist()) == {1, fill}
        assert np.array_equal(after["mask"] == fill, to_array(after["image"])[0] == 9) or fill == 1


def test_labels_without_boxes_and_other_keys_are_handed_on():
    before = {"image": Image.new("RGB", (10, 8)), "labels": "a text", "boxes_of_others": None}
    after = RandomFlip(1)(before, generator())
    assert after["labels"] == "a text" and after["boxes_of_others"] is None


# Through the loader


class Rectangles:
    """Samples, one of them without any box."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        found = sample((index, 10, index + 30, 50), np.int64)
        return found | ({"boxes": np.zeros((0, 4)), "labels": np.zeros(0, np.int64)} if index == 5 else {})


class Segments(Rectangles):
    """Of one size each, so that they go into a batch as they are."""

    def __getitem__(self, index):
        found = super().__getitem__(index)
        return {"image": found["image"], "mask": found["mask"]}


RECIPE = Compose([RandomResizedCrop(32), RandomFlip(), RandomAffine(**AFFINE), LensDistortion(), ColorJitter(0.4, 0.4)])


def test_workers_change_nothing_and_batches_are_tensors():
    batches = [list(DataLoader(Segments(), 5, True, transform=RECIPE, seed=4, num_workers=n)) for n in (0, 3)]
    for one, other in zip(*batches, strict=True):
        assert one["image"].shape[1:] == (3, 32, 32) and one["image"].dtype == np.float32
        assert one["mask"].shape == (len(one["image"]), 32, 32) and one["mask"].dtype == np.int64
        for key in ("image", "mask"):
            assert np.array_equal(one[key].numpy(), other[key].numpy())
    epochs = DataLoader(Segments(), 12, transform=RECIPE)
    assert not np.array_equal(next(iter(epochs))["mask"].numpy(), next(iter(epochs))["mask"].numpy())


def test_boxes_come_in_lists():
    (batch,) = DataLoader(Rectangles(), 12, transform=RECIPE, collate_fn=list)
    assert [len(found["boxes"]) == len(found["labels"]) <= 1 for found in batch] == [True] * 12
    assert batch[5]["boxes"].shape == (0, 4)


# Bad input


@pytest.mark.parametrize("transform", [RandomFlip(), RandomAffine(5), Cutout(5), ResizeShorter(9)])
@pytest.mark.parametrize(
    "wrong, problem",
    [
        (
            {"mask": np.zeros((WIDTH, HEIGHT), int)},
            "mask has the shape (96, 72) and its picture is 72 high and 96 wide;",
        ),
        ({"mask": np.zeros((1, HEIGHT, WIDTH), int)}, "mask has the shape (1, 72, 96)"),
        (
            {"mask": np.zeros((HEIGHT, WIDTH))},
            "mask must hold whole numbers or booleans, the class of each pixel, not flo",
        ),
        (
            {"mask": np.full((HEIGHT, WIDTH), 2**40)},
            "mask holds numbers up to 1,099,511,627,776, and classes have 32 bits",
        ),
        (
            {"boxes": [[0, 0, 97, 10]]},
            "box 0, (0, 0, 97, 10), does not lie in its picture: 0 <= x0 < x1 <= 96 and 0 <=",
        ),
        ({"boxes": [[0, 0, 9, 9], [50, 40, 20, 30]]}, "box 1, (50, 40, 20, 30), does not lie in its picture"),
        ({"boxes": [[0, 0, 9, float("nan")]]}, "box 0, (0, 0, 9, nan), does not"),
        ({"boxes": [[-1, 0, 9, 9]]}, "box 0, (-1, 0, 9, 9), does not"),
        ({"boxes": [0, 0, 9, 9]}, "boxes must be numbers (N, 4), x0, y0, x1, y1, not int64 (4,)"),
        ({"boxes": [["a", "b", "c", "d"]]}, "boxes must be numbers (N, 4)"),
        ({"labels": [1, 2]}, "1 boxes with labels of shape (2,); each box has one"),
        ({"labels": 1}, "1 boxes with labels of shape ()"),
    ],
)
def test_what_does_not_belong_together_is_named(transform, wrong, problem):
    with pytest.raises((ValueError, TypeError), match=re.escape(f"{type(transform).__name__}: {problem}")):
        transform({**sample(), **wrong}, generator())


def test_what_is_no_picture_is_named():
    for picture in (np.zeros((3, 8, 8), np.uint8), {"image": np.zeros((3, 8, 8), np.uint8)}):
        with pytest.raises(
            TypeError, match=r"RandomFlip: a picture must be a PIL image, not a ndarray; Image.fromarray"
        ):
            RandomFlip()(picture, generator())
    with pytest.raises(ValueError, match="RandomFlip: a sample needs an 'image', and this one has 'picture', 'mask'"):
        RandomFlip()({"picture": None, "mask": None}, generator())
    with pytest.raises(TypeError, match="a picture must have mode 'RGB' or 'L', not 'P'"):
        LensDistortion()(Image.new("P", (9, 9)), generator())
    for transform in (TenCrop(9), WithMirror()):
        name = type(transform).__name__
        with pytest.raises(TypeError, match=f"{name} takes a picture alone, as mask and boxes"):
            transform(sample(), generator())


def test_a_fill_that_does_not_go_into_the_mask():
    with pytest.raises(ValueError, match=r"Pad: mask_fill=-100 does not go into a mask of uint8; give mask.astype"):
        Pad(2, mask_fill=-100)(sample(), generator())
