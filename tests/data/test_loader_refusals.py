"""What is no data set, and settings that a loader does not have: one line that says what to give instead."""

import numpy as np
import pytest

from minicnn import Tensor
from minicnn.data import CenterCrop, DataError, DataLoader

X, Y = np.zeros((6, 3, 4, 4), np.float32), np.arange(6)


class Table:
    """What pandas' DataFrame looks like to a loader."""

    def __len__(self):
        return 6

    def __getitem__(self, column):
        raise KeyError(column)

    def to_numpy(self):
        return X


class Stream:
    def __iter__(self):
        yield from range(6)


class Endless:
    def __getitem__(self, index):
        return index


@pytest.mark.parametrize(
    "dataset, message",
    [
        ({"images": X, "labels": Y}, r"a dict is no data set; give a tuple of its arrays"),
        (Table(), r"a Table is no data set; give arrays: \(table\[columns\].to_numpy\(\)"),
        ((Table(), Y), r"array 0 is a Table; give its \.to_numpy\(\)"),
        ("pictures/train", r"'pictures/train' names a file; .*ImageFolder\(\.\.\.\)"),
        (DataLoader((X, Y)), r"a DataLoader hands over batches already; give its \.dataset"),
        ([X, Y], r"a list of arrays can be read in two ways; give a tuple, \(images, labels\),.*np\.stack"),
        ([Tensor(X), Tensor(Y)], r"a list of arrays can be read in two ways"),
        ((X, [0, 1, 2, 3, 4, 5]), r"array 1 is a list; make an array of it: np\.array"),
        ((X, None), r"array 1 is a NoneType"),
        ((X, np.float32(1)), r"array 1 has no axes"),
        (np.array(1.0), r"array 0 has no axes; the first one counts the items"),
        ((X, np.array(list("abcdef"))), r"array 1 is of <U1, and a Tensor holds .*make numbers of it"),
        ((X.astype(np.float16), Y), r"array 0 is of float16, .*\.astype\(np\.float32\)"),
        (X.astype(">f4"), r"array 0 is of >f4, .*\.astype\(np\.float32\)"),
        ((X, np.array([None] * 6)), r"array 1 is of object"),
        ((np.ma.array(X), Y), r"masked"),
        ((Tensor(X, requires_grad=True), Y), r"array 0 requires a gradient, .*\.detach\(\) it"),
        ((), r"give at least one array"),
        ((i for i in range(6)), r"generator has no __len__ and no __getitem__; list\(\.\.\.\) of it has both"),
        ({1, 2}, r"set has no __getitem__; list\(\.\.\.\) of it has both"),
        (Stream(), r"Stream has no __len__ and no __getitem__; list"),
        (Endless(), r"Endless has no __len__; give arrays, or an object that has both"),
        (None, r"NoneType has no __len__ and no __getitem__"),
        (6, r"int has no __len__"),
        (Table, r"this is the class Table; make a data set of it: Table\(\.\.\.\)"),
    ],
)
def test_what_is_no_data_set(dataset, message):
    with pytest.raises(TypeError, match=rf"^DataLoader: (dataset: )?.*{message}") as caught:
        DataLoader(dataset, 2)
    assert "\n" not in str(caught.value)


def test_pytorchs_loader_is_no_data_set(torch):
    with pytest.raises(TypeError, match=r"a DataLoader hands over batches already; give its \.dataset"):
        DataLoader(torch.utils.data.DataLoader([1, 2]))


def test_arrays_of_different_lengths():
    message = r"^DataLoader: the arrays have different lengths, 6, 5, 6; each has one row for each item; cut"
    with pytest.raises(DataError, match=message):
        DataLoader((X, Y[:5], Y))


@pytest.mark.parametrize("dataset", [[], (X[:0], Y[:0]), X[:0]], ids=["list", "arrays", "array"])
def test_empty_data_sets(dataset):
    with pytest.raises(DataError, match=r"^DataLoader: dataset has no items; look at how it was made"):
        DataLoader(dataset, 2, shuffle=True)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("sampler", range(3), r"in an order of your own, arrays\[order\], or shuffle=True"),
        ("batch_sampler", [[0, 1]], r"give batch_size="),
        ("generator", np.random.default_rng(0), r"comes from seed="),
        ("prefetch_factor", 4, r"give prefetch="),
        ("pin_memory", True, r"images\.to\(device\)"),
        ("persistent_workers", True, r"workers are threads"),
        ("worker_init_fn", print, r"workers are threads"),
        ("timeout", 3, r"leave it out"),
    ],
)
def test_settings_of_pytorch_that_are_not_built_in(name, value, message):
    with pytest.raises(TypeError, match=rf"^DataLoader: {name}= is not built in; .*{message}"):
        DataLoader((X, Y), 2, **{name: value})
    for nothing in (None, False):
        assert len(DataLoader((X, Y), 2, **{name: nothing})) == 3


def test_settings_of_nobody():
    with pytest.raises(TypeError, match=r"^DataLoader has no setting workers="):
        DataLoader((X, Y), 2, workers=2)


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"transform": CenterCrop(3)}, r"transform= takes pictures one by one, .*in the loop, or give .*__getitem__"),
        ({"collate_fn": list}, r"collate_fn= takes a list of items, .*in the loop, or give .*__getitem__"),
        ({"normalize": 3}, r"normalize must be a function of a batch, not 3"),
        ({"collate_fn": "stack"}, r"collate_fn must be a function of a list of items, not 'stack'"),
        ({"batch_size": 2.0}, r"batch_size must be a whole number"),
        ({"shuffle": CenterCrop(3)}, r"shuffle must be True or False"),
    ],
)
def test_settings_that_do_not_fit_arrays(setting, message):
    with pytest.raises(TypeError, match=rf"^DataLoader: {message}"):
        DataLoader((X, Y), **setting)


def test_another_data_set_needs_another_loader():
    with pytest.raises(AttributeError, match="dataset"):
        DataLoader((X, Y)).dataset = X
