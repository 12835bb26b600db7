"""The loader over whatever has __len__ and __getitem__: PyTorch's own loader says what a batch looks like."""

import threading
import time
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from random_pictures import loader_threads

from minicnn import Tensor
from minicnn.data import (
    BadImage,
    CenterCrop,
    Compose,
    DataLoader,
    ImageFolder,
    RandomCrop,
    RandomFlip,
    TooManyBadImages,
)


class Squares:
    """Items i -> make(i), some slow, some in other threads."""

    def __init__(self, make, count=11, delay=0.0):
        self.make, self.count, self.delay = make, count, delay

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        time.sleep(self.delay * (index % 3))
        return self.make(index)


class Pair(NamedTuple):
    image: np.ndarray
    label: int


def array(i):
    return np.random.default_rng(i).standard_normal((2, 3))


def picture(i, mode="RGB"):
    return Image.fromarray(np.random.default_rng(i).integers(0, 256, (6, 5, 3), np.uint8)).convert(mode)


# Beside PyTorch's loader


def assert_equal(ours, theirs):
    """The same form, the same values and, but for Python's floats, the same dtypes."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, (tuple, list)):
        assert isinstance(ours, tuple) and len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    else:
        assert isinstance(ours, Tensor) and ours.shape == tuple(theirs.shape)
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        assert np.array_equal(ours.numpy(), theirs.numpy())


FORMS = {
    "arrays": array,
    "float32": lambda i: array(i).astype(np.float32),
    "integers of one axis": lambda i: np.arange(i, i + 3, dtype=np.int32),
    "uint8 of two axes": lambda i: np.full((2, 3), i, np.uint8),
    "numbers": lambda i: i,
    "truths": lambda i: i % 2 == 0,
    "numpy's floats": np.float64,
    "pairs": lambda i: (array(i), i),
    "lists": lambda i: [array(i), i],
    "triples": lambda i: (array(i), array(i + 1)[0], np.int64(i)),
    "nested": lambda i: ((array(i), array(i + 20)), {"label": i}),
    "dicts": lambda i: {"image": array(i), "label": i, "more": {"weight": np.float32(i)}},
    "named tuples": lambda i: Pair(array(i), i),
    "one": lambda i: (i,),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_those_of_pytorch(torch, form, drop_last):
    data = Squares(FORMS[form])
    theirs = torch.utils.data.DataLoader(data, batch_size=4, drop_last=drop_last)
    for workers in (0, 2):
        ours = DataLoader(data, batch_size=4, drop_last=drop_last, num_workers=workers)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)


def test_named_tuples_stay_named():
    batch = next(iter(DataLoader(Squares(FORMS["named tuples"]), 4)))
    assert isinstance(batch, Pair) and batch.label.tolist() == [0, 1, 2, 3]
    loader = DataLoader(Squares(FORMS["named tuples"]), 4, transform=lambda x, rng: 2 * x)
    transformed = next(iter(loader))
    assert isinstance(transformed, Pair) and np.array_equal(transformed[0].numpy(), 2 * batch[0].numpy())


def test_dicts_may_be_in_any_order():
    (batch,) = DataLoader([{"a": 1, "b": 2}, {"b": 4, "a": 3}], 2)
    assert {key: value.tolist() for key, value in batch.items()} == {"a": [1, 3], "b": [2, 4]}


def test_a_tensor_of_pytorch_that_requires_a_gradient_is_named(torch):
    tensor = torch.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"dataset\[0\]\[0\]: .*requires grad"):
        list(DataLoader([(tensor, 1)], 1))
    with pytest.raises(TypeError, match=r"array 0: .*requires grad"):
        DataLoader((tensor, np.ones(3)))


def test_pythons_floats_are_float32_as_of_a_tensor_of_a_list():
    (batch,) = DataLoader([0.5, 1.5, 2.5], 3)
    assert batch.dtype == np.float32 and batch.tolist() == [0.5, 1.5, 2.5]


def test_tensors_as_items(torch):
    uint8 = Squares(lambda i: (Tensor(np.full((3, 4, 5), i, np.uint8)), i))
    images, labels = next(iter(DataLoader(uint8, 3)))
    assert images.dtype == np.uint8 and images.shape == (3, 3, 4, 5) and labels.tolist() == [0, 1, 2]
    theirs = Squares(lambda i: (torch.full((2, 3), i / 2), torch.tensor(i)))
    halves, labels = next(iter(DataLoader(theirs, 3)))
    assert halves.dtype == np.float32 and halves.numpy()[:, 0, 0].tolist() == [0, 0.5, 1]
    assert labels.dtype == np.int64 and labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("mode, channels", [("RGB", 3), ("L", 1), ("RGBA", 4)])
def test_pil_images_are_what_totensor_makes_of_them(torchvision, mode, channels):
    to_tensor = torchvision.transforms.ToTensor()
    images, labels = next(iter(DataLoader(Squares(lambda i: (picture(i, mode), i)), 4)))
    assert images.shape == (4, channels, 6, 5) and labels.tolist() == [0, 1, 2, 3]
    for i, image in enumerate(images):
        assert np.array_equal(image.numpy(), to_tensor(picture(i, mode)).numpy())


def test_data_sets_of_torchvision(torchvision, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            picture(i).save(tmp_path / name / f"{i}.png")
    theirs = torchvision.datasets.ImageFolder(tmp_path, torchvision.transforms.ToTensor())
    for data in (torchvision.datasets.ImageFolder(tmp_path), ImageFolder(tmp_path), theirs):
        batches = list(DataLoader(data, 4))
        assert np.concatenate([labels.numpy() for _, labels in batches]).tolist() == [0, 0, 0, 1, 1, 1]
        expected = np.stack([theirs[i][0].numpy() for i in range(4)])
        assert np.array_equal(batches[0][0].numpy(), expected)


def test_collate_fn_gets_the_items_and_is_handed_over():
    data = Squares(lambda i: (np.ones(i), i))  # of different lengths
    batches = list(DataLoader(data, 4, collate_fn=lambda items: [image.sum() for image, _ in items]))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


# Transforms


def test_a_transform_of_the_first_part_repeats_by_seed_epoch_and_index():
    transform = Compose([RandomCrop(4), RandomFlip()])
    data = Squares(lambda i: (picture(i), i, i / 2))

    def passes(**settings):
        loader = DataLoader(data, 4, transform=transform, **settings)
        return [[part.numpy() for part in batch] for _ in range(2) for batch in loader]

    one = passes()
    for again in (passes(), passes(num_workers=3)):
        assert all(np.array_equal(a, b) for x, y in zip(one, again, strict=True) for a, b in zip(x, y, strict=True))
    assert one[0][0].shape == (4, 3, 4, 4) and one[0][2].tolist() == [0, 0.5, 1, 1.5]
    assert not np.array_equal(one[0][0], one[3][0])  # the same pictures, an epoch later
    assert not np.array_equal(one[0][0], passes(seed=1)[0][0])


def test_a_transform_of_items_that_are_pictures():
    (images,) = DataLoader(Squares(picture, 4), 4, transform=CenterCrop(3))
    assert images.shape == (4, 3, 3, 3) and images.dtype == np.float32


# Threads


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_change_nothing(workers):
    data = Squares(lambda i: (array(i), i), 40, delay=0.001)
    for one, other in zip(
        DataLoader(data, 7, shuffle=True, num_workers=workers), DataLoader(data, 7, shuffle=True), strict=True
    ):
        assert np.array_equal(one[0].numpy(), other[0].numpy()) and np.array_equal(one[1].numpy(), other[1].numpy())


def test_items_are_fetched_by_threads_only_if_there_are_some():
    seen = set()
    data = Squares(lambda i: seen.add(threading.current_thread().name) or i)
    list(DataLoader(data, 4))
    assert seen == {threading.current_thread().name}
    seen.clear()
    list(DataLoader(data, 4, num_workers=2))
    assert seen and all(name.startswith("minicnn-loader") for name in seen)


def test_leaving_a_pass_stops_the_threads():
    for _ in DataLoader(Squares(int, 100, delay=0.001), 4, num_workers=2):
        assert loader_threads()
        break
    assert not loader_threads()


# What goes wrong


def broken(i):
    return {"a": 1}[i] if i == 5 else i


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exception_names_the_item(workers):
    with pytest.raises(KeyError) as caught:
        list(DataLoader(Squares(broken), 4, num_workers=workers))
    assert caught.value.__notes__ == ["in dataset[5], which a DataLoader asked for"]
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_at_whose_end_something_is(workers):
    with pytest.raises(RuntimeError, match=r"DataLoader: dataset\[5\] has raised StopIteration: next"):
        list(DataLoader(Squares(lambda i: next(iter([])) if i == 5 else i), 4, num_workers=workers))
    assert not loader_threads()


def test_an_item_may_say_that_it_is_a_bad_picture():
    def make(i):
        if i == 5:
            raise BadImage("5.jpg", "damaged")
        return array(i), i

    loader = DataLoader(Squares(make), 4, max_bad_fraction=0.5)
    assert [labels.tolist() for _, labels in loader] == [[0, 1, 2, 3], [4, 6, 7], [8, 9, 10]]
    assert loader.bad == {"5.jpg": "damaged"}
    with pytest.raises(TooManyBadImages, match=r"1 of 11 pictures are unreadable .*5\.jpg: damaged"):
        list(DataLoader(Squares(make), 4, max_bad_fraction=0))


def other_than_the_rest(usual, odd, at=3):
    return lambda i: odd if i == at else usual


@pytest.mark.parametrize(
    "usual, odd, error, message",
    [
        (
            np.ones((3, 4)),
            np.ones((3, 5)),
            ValueError,
            r"dataset\[0\] is of shape \(3, 4\) and dataset\[3\] is of shape \(3, 5\)",
        ),
        (
            (np.ones(2), 1),
            (np.ones(3), 1),
            ValueError,
            r"dataset\[0\]\[0\] is of shape \(2,\) .* one shape .*collate_fn=",
        ),
        ({"x": np.ones(2)}, {"x": np.ones(())}, ValueError, r"dataset\[3\]\['x'\] is of shape \(\)"),
        (1, 2.5, ValueError, r"dataset\[0\] is of int64 and dataset\[3\] is of float32"),
        ((1, 2), (1, 2, 3), ValueError, r"dataset\[0\] is a tuple of 2 and dataset\[3\] is a tuple of 3"),
        ({"x": 1}, {"y": 1}, ValueError, r"dataset\[0\] is a dict of 'x' and dataset\[3\] is a dict of 'y'"),
        ((1, 2), 3, ValueError, r"dataset\[0\] is a tuple of 2 and dataset\[3\] is an array, a number"),
        (Tensor(1.0), np.float32(1), ValueError, r"dataset\[0\] is a Tensor and dataset\[3\] is an array"),
        ((1, 2), (1, None), TypeError, r"dataset\[3\]\[1\] is None, and a batch holds arrays, .*leave it out"),
        ("cat", "cat", TypeError, r"dataset\[0\] is 'cat', and a batch holds arrays"),
        ((1, [1, "dog"]), (1, [1, "dog"]), TypeError, r"dataset\[0\]\[1\]\[1\] is 'dog'"),
        (object(), object(), TypeError, r"dataset\[0\] is a object, and a batch"),
        (np.array(["a"]), np.array(["a"]), TypeError, r"dataset\[0\] is of <U1, .*make numbers of it"),
        (np.ones(2, np.float16), np.ones(2, np.float16), TypeError, r"of float16, .*astype\(np.float32\)"),
        (np.ma.ones(2), np.ma.ones(2), TypeError, "masked"),
        (Tensor([1.0], requires_grad=True), 1, ValueError, "is a Tensor and"),
        (Tensor([1.0], requires_grad=True), Tensor([1.0]), TypeError, r"dataset\[0\] requires a gradient.*detach"),
        (picture(0), picture(0, "P"), TypeError, r"dataset\[3\]: .* mode 'RGB' or 'L', not 'P'; image.convert"),
        (2**63, 2**63, ValueError, "9223372036854775808 is no label: it does not fit into int64"),
    ],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_items_that_are_no_batch(usual, odd, error, message, workers):
    data = Squares(other_than_the_rest(usual, odd))
    with pytest.raises(error, match=message):
        list(DataLoader(data, 4, num_workers=workers))
    assert not loader_threads()


def test_the_item_is_named_in_whichever_batch_it_is():
    data = Squares(other_than_the_rest(np.ones(2), np.ones(3), at=7))
    with pytest.raises(ValueError, match=r"dataset\[6\] is of shape \(2,\) and dataset\[7\] is of shape \(3,\)"):
        list(DataLoader(data, 3))


def test_pictures_of_a_folder_that_have_different_sizes_are_named(tmp_path):
    (tmp_path / "cat").mkdir()
    for i, size in enumerate([(8, 8), (8, 9)]):
        picture(i).resize(size).save(tmp_path / "cat" / f"{i}.png")
    with pytest.raises(ValueError, match=r"cat.0\.png is of shape \(3, 8, 8\) and .*cat.1\.png is .*transform=Compose"):
        list(DataLoader(ImageFolder(tmp_path), 2))
