"""The loader over arrays, and as PyTorch's users call it: Tensors of slices, a new order each time."""

import itertools

import numpy as np
import pytest

from minicnn import Tensor, manual_seed, nn, optim
from minicnn import functional as F
from minicnn.data import ChannelMeanStd, DataError, DataLoader, TensorDataset, ZeroToOne
from minicnn.device import to_device
from minicnn.optim.lr_scheduler import StepLR
from minicnn.runlog import read_log
from minicnn.train import Classifier, Trainer, evaluate

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (23, 3, 4, 5), np.uint8)
LABELS = np.arange(23, dtype=np.int32) % 3


def numbers(loader):
    """Which rows of arange(N) one pass over the loader hands over."""
    return [int(i) for batch in loader for i in batch]


# What a batch is


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_slices(batch_size, drop_last):
    floats = IMAGES.astype(np.float32)
    loader = DataLoader((floats, LABELS), batch_size, drop_last=drop_last)
    batches = list(loader)
    assert len(batches) == len(loader) == (23 // batch_size if drop_last else -(-23 // batch_size))
    for i, (images, labels) in enumerate(batches):
        rows = slice(i * batch_size, (i + 1) * batch_size)
        assert isinstance(images, Tensor) and isinstance(labels, Tensor)
        assert np.array_equal(images.numpy(), floats[rows]) and np.array_equal(labels.numpy(), LABELS[rows])


def test_uint8_pictures_are_what_totensor_makes_of_them(torchvision):
    (images, labels), *_ = DataLoader((IMAGES, LABELS), 8)
    assert images.dtype == np.float32 and labels.dtype == np.int64
    to_tensor = torchvision.transforms.ToTensor()
    for ours, picture in zip(images, IMAGES, strict=False):
        assert np.array_equal(ours.numpy(), to_tensor(picture.transpose(1, 2, 0)).numpy())


def test_normalize_takes_the_place_of_the_division():
    normalize = ChannelMeanStd().fit([IMAGES])
    batches = [images.numpy() for images, _ in DataLoader((IMAGES, LABELS), 8, normalize=normalize)]
    assert np.array_equal(np.concatenate(batches), normalize(IMAGES))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8, bool])
@pytest.mark.parametrize("shape", [(7,), (7, 4), (7, 2, 3), (7, 1, 2, 3)])
def test_dtypes(dtype, shape):
    (batch,) = DataLoader(np.ones(shape, dtype), 7)
    is_label = len(shape) == 1 and dtype in (np.int32, np.uint8)
    is_picture = len(shape) == 4 and dtype is np.uint8
    assert batch.dtype == (np.int64 if is_label else np.float32 if is_picture else dtype)
    assert batch.shape == shape and (batch.numpy() == (np.float32(1) / 255 if is_picture else 1)).all()


def test_tensors_stay_what_they_are():
    parts = Tensor(IMAGES), Tensor(LABELS)
    for loader in (DataLoader(parts, 5), DataLoader(TensorDataset(*parts), 5)):
        images, labels = next(iter(loader))
        assert images.dtype == np.uint8 and labels.dtype == np.int32
        assert np.array_equal(images.numpy(), IMAGES[:5]) and np.array_equal(labels.numpy(), LABELS[:5])


def test_one_array_makes_tensors_and_a_tuple_of_one_makes_tuples():
    assert numbers(DataLoader(np.arange(5), 2)) == [0, 1, 2, 3, 4]
    assert all(isinstance(batch, Tensor) for batch in DataLoader(np.arange(5), 2))
    assert all(isinstance(batch, tuple) and len(batch) == 1 for batch in DataLoader((np.arange(5),), 2))
    assert [len(batch) for batch in DataLoader((IMAGES, IMAGES, LABELS), 12)] == [3, 3]


def test_other_layouts():
    turned = np.asfortranarray(IMAGES.astype(np.float32))[:, ::-1]
    assert np.array_equal(np.concatenate([batch.numpy() for batch in DataLoader(turned, 4)]), turned)
    images, labels = next(iter(DataLoader((turned, LABELS[::-1]), 4)))
    assert np.array_equal(images.numpy(), turned[:4]) and np.array_equal(labels.numpy(), LABELS[::-1][:4])


def test_arrays_of_another_library(torch):
    images, labels = next(iter(DataLoader((torch.from_numpy(IMAGES), torch.from_numpy(LABELS)), 4)))
    assert images.dtype == np.float32 and labels.numpy().tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_that_is_written_into_leaves_the_data_set_alone(shuffle):
    for part in (np.ones((6, 2), np.float32), Tensor(np.ones((6, 2), np.float32))):
        for batch in DataLoader(part, 3, shuffle):
            batch += 1
            batch.data[...] = 7
        assert (np.asarray(part) == 1).all()


def test_tensors_on_the_other_device_stay_there(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    parts = Tensor(to_device(IMAGES.astype(np.float32), "cuda")), Tensor(to_device(LABELS, "cuda"))
    loader = DataLoader(parts, 4, shuffle=True, seed=3)
    for (images, labels), expected in zip(loader, DataLoader((IMAGES, LABELS), 4, shuffle=True, seed=3), strict=True):
        assert images.device == labels.device == "cuda"
        assert np.array_equal(labels.numpy(), expected[1].numpy())
    assert next(loader.epoch(0)).labels.dtype == np.int64


# The order


def test_each_pass_has_an_order_of_its_own_and_every_row_once():
    loader = DataLoader(np.arange(50), 8, shuffle=True, seed=1)
    passes = [numbers(loader) for _ in range(4)]
    assert all(sorted(order) == list(range(50)) for order in passes)
    assert len({tuple(order) for order in passes}) == 4
    again = DataLoader(np.arange(50), 8, shuffle=True, seed=1)
    assert [numbers(again) for _ in range(4)] == passes
    assert numbers(DataLoader(np.arange(50), 8, shuffle=True, seed=2)) != passes[0]
    assert numbers(DataLoader(np.arange(50), 7, shuffle=True, seed=1)) == passes[0]


def test_a_pass_is_an_epoch():
    loader = DataLoader((IMAGES, LABELS), 4, shuffle=True, seed=5)
    for epoch in range(3):
        expected = list(loader.epoch(epoch))
        for (images, labels), batch in zip(loader, expected, strict=True):
            assert np.array_equal(images.numpy(), ZeroToOne()(batch.images)) and batch.images.dtype == np.uint8
            assert np.array_equal(labels.numpy(), batch.labels) and batch.labels.dtype == np.int64
            assert np.array_equal(batch.labels, LABELS[batch.indices])


def test_a_pass_that_is_left_early_counts():
    loader = DataLoader(np.arange(20), 3, shuffle=True)
    next(iter(loader))
    for _ in loader:
        break
    assert loader.next_epoch == 2
    assert numbers(loader) == loader.order(2).tolist()


def test_an_epoch_is_gone_on_with():
    loader = DataLoader((IMAGES, LABELS), 4, shuffle=True)
    for epoch, start in itertools.product((0, 3), (0, 2, 6)):
        for batch, whole in zip(loader.epoch(epoch, start), list(loader.epoch(epoch))[start:], strict=True):
            assert batch.position == whole.position and np.array_equal(batch.images, whole.images)
    other = DataLoader(np.arange(20), 4, shuffle=True)
    other.next_epoch = 7
    assert numbers(other) == other.order(7).tolist()
    for name, value, error in (
        ("next_epoch", -1, ValueError),
        ("next_epoch", "3", TypeError),
        ("batch_size", 0, ValueError),
    ):
        other = DataLoader(np.arange(20), 4, shuffle=True)
        setattr(other, name, value)
        with pytest.raises(error, match=f"DataLoader: {name} must be"):
            list(other)


def test_labels_that_int64_has_not():
    labels = np.array([1, 2**63 + 1], np.uint64)
    with pytest.raises(ValueError, match="9223372036854775809 is no label: it does not fit into int64"):
        list(DataLoader((np.ones(2), labels)))
    assert next(iter(DataLoader(labels[:1]))).dtype == np.int64


def test_two_passes_at_once_do_not_disturb_each_other():
    loader = DataLoader(np.arange(10), 2, shuffle=True)
    pairs = list(zip(loader, loader, strict=True))
    assert [int(i) for batch, _ in pairs for i in batch] == loader.order(0).tolist()
    assert [int(i) for _, batch in pairs for i in batch] == loader.order(1).tolist()


# With the rest of the library


def coloured(count):
    """uint8 pictures, red, green or blue, and their labels."""
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 3, count)
    pictures = rng.integers(0, 100, (count, 3, 6, 6), np.uint8)
    pictures[np.arange(count), labels] += 100
    return pictures, labels


def network():
    manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))


def test_a_loop_as_one_writes_it_learns():
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loader = DataLoader(coloured(60), 10, shuffle=True)
    for _ in range(8):
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    images, labels = next(iter(DataLoader(coloured(30), 30)))
    assert (model(images).argmax(1) == labels).sum().item() >= 28  # chance: 10


@pytest.mark.parametrize("floats", [False, True])
def test_trainer_and_evaluate_take_arrays(floats, tmp_path):
    (images, labels), model = coloured(60), network()
    data = (ZeroToOne()(images) if floats else images), labels
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loaders = DataLoader(data, 10, shuffle=True), DataLoader(data, 20)
    trainer = Trainer(model, optimizer, StepLR(optimizer, 100), *loaders, ZeroToOne(), folder=tmp_path, epochs=6)
    trainer.fit()
    scores = evaluate([Classifier(model, ZeroToOne())], loaders[1])
    assert scores.count == 60
    assert float(read_log(tmp_path / "log.csv")[-1]["val_top1"]) == pytest.approx(scores.values()["top1"], abs=0.01)
    assert scores.values()["top1"] >= 90


def test_evaluate_takes_features():
    features = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    scores = evaluate([Classifier(nn.Identity(), ZeroToOne())], DataLoader((features, np.arange(12) % 3), 5))
    assert scores.count == 12 and scores.values()["top1"] == 100


@pytest.mark.parametrize("parts", [(IMAGES,), (IMAGES, LABELS, LABELS), (IMAGES, LABELS / 2), (IMAGES, IMAGES)])
def test_a_batch_for_the_trainer_is_pictures_with_labels(parts):
    with pytest.raises(TypeError, match=r"DataLoader.epoch, which Trainer and evaluate call.*for batch in loader"):
        next(DataLoader(parts, 4).epoch(0))


def test_float64_meets_a_message_that_says_astype():
    images, _ = next(iter(DataLoader((IMAGES.astype(np.float64), LABELS), 4)))
    with pytest.raises(TypeError, match=r"x: float64, weight: float32.*\.astype"):
        network()(images)


# The set itself


def test_tensor_dataset():
    pair = TensorDataset(IMAGES, LABELS)
    assert len(pair) == 23 and pair[3][1] == LABELS[3] and np.array_equal(pair[2:5][0], IMAGES[2:5])
    assert repr(pair) == "TensorDataset(uint8 (23, 3, 4, 5), int32 (23,))"
    with pytest.raises(DataError, match=r"TensorDataset: the arrays have different lengths, 23, 22; .*cut them"):
        TensorDataset(IMAGES, LABELS[1:])


def test_text():
    loader = DataLoader((IMAGES, LABELS), batch_size=4, shuffle=True, seed=3)
    settings = "batch_size=4, shuffle=True, seed=3, num_workers=0, drop_last=False"
    assert repr(loader) == f"DataLoader(23 items of (uint8 (3, 4, 5), int32), {settings})"
    assert loader.batch_size == 4 and loader.dataset.tensors[0] is IMAGES
    assert len(loader.dataset) == 23  # items, and not the two arrays: it is what accuracies are divided by
