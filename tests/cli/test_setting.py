"""What is tried before a run: a last batch that the network cannot be trained on, and that trying leaves no trace."""

import os

import numpy as np
import pytest
import thread_ranks
from paths import EXAMPLES
from programs import arguments, draw, load_example

from minicnn import Tensor, nn, random
from minicnn.cli.feasible import try_single_pictures
from minicnn.train import exit_code, load_checkpoint, save_checkpoint
from minicnn.train.step import Steps

CIFAR = load_example(EXAMPLES / "resnet_cifar10.py")
TINY = "--image-size 4 --shorter-side 4 --epochs 1 -j 0 --preprocess channel_mean"  # the last maps are 1 x 1


class Net(nn.Module):
    """A batch norm over one number a channel, or over many, and dropout."""

    def __init__(self, kernel):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 2, kernel), nn.BatchNorm2d(2), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))


def small(kernel=4):
    random.manual_seed(3)
    return Net(kernel)


@pytest.mark.parametrize(("count", "batch_size"), [(33, 32), (1, 32), (5, 2), (7, 1), (7, 3)])
def test_a_last_batch_of_one_that_batch_norm_cannot_take(count, batch_size):
    way_out = {1: "one is too few", (7, 1): "choose another --batch-size"}
    way_out = way_out.get((count, batch_size)) or way_out.get(count, "leave it out by --drop-last, or .* --batch-size")
    message = f"of {count} training pictures has a single one with --batch-size {batch_size}; {way_out}: batch_norm"
    with pytest.raises(ValueError, match=message):
        try_single_pictures(small(), 4, count, batch_size, drop_last=False)
    try_single_pictures(small(kernel=3), 4, count, batch_size, drop_last=False)  # four numbers a channel
    frozen = small()
    frozen.freeze()
    try_single_pictures(frozen, 4, count, batch_size, drop_last=False)


@pytest.mark.parametrize(("count", "batch_size", "drop_last"), [(32, 32, False), (34, 32, False), (33, 32, True)])
def test_other_last_batches(count, batch_size, drop_last):
    try_single_pictures(small(), 4, count, batch_size, drop_last)


def test_dropping_may_leave_nothing_or_batches_of_one():
    with pytest.raises(ValueError, match="--drop-last leaves nothing of 7 training pictures: --batch-size is 8"):
        try_single_pictures(small(), 4, 7, 8, drop_last=True)
    with pytest.raises(ValueError, match="a single one with --batch-size 1"):
        try_single_pictures(small(), 4, 7, 1, drop_last=True)


@pytest.mark.parametrize(
    "ranks, count, batch_size, steps, message",
    [
        (4, 32, 8, Steps(), None),
        (
            4,
            32,
            8,
            Steps(accumulate=2),
            r"a full batch has 8 pictures, and one of its 8 parts \(4 ranks, --accumulate 2\)",
        ),
        (
            4,
            32,
            8,
            Steps(shards=8),
            r"a full batch .* \(4 ranks, --shards 8\) a single one; choose another --batch-size: ",
        ),
        (1, 32, 8, Steps(accumulate=8), r"\(--accumulate 8\) a single one; choose another --batch-size: "),
        (2, 35, 8, Steps(), r"the last batch has 3 pictures, .*; leave it .*, or choose .*, or let .* by --sync-bn: "),
        (2, 33, 8, Steps(), r"the last batch of 33 training pictures has a single one .* another --batch-size: "),
    ],
)
def test_ranks_and_parts_that_have_one_picture(ranks, count, batch_size, steps, message):
    def attempt(world, drop_last=False, kernel=4):
        try_single_pictures(small(kernel), 4, count, batch_size, drop_last, steps)

    if message is None:
        thread_ranks.run(ranks, attempt)
        return
    with pytest.raises(ValueError, match=message):
        thread_ranks.run(ranks, attempt)
    thread_ranks.run(ranks, lambda world: attempt(world, kernel=3))  # four numbers a channel
    if "last batch" in message:
        thread_ranks.run(ranks, lambda world: attempt(world, drop_last=True))


def test_synchronised_batch_norm_sees_the_pictures_of_all_ranks():
    def attempt(world, *numbers):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(small())
        before = model.norm.running_mean.numpy().copy()
        try_single_pictures(model, 4, *numbers[:2], False, Steps(*numbers[2:]), sync_bn=True)
        assert np.array_equal(model.norm.running_mean.numpy(), before)

    thread_ranks.run(2, lambda world: attempt(world, 35, 8))  # 1 + 2 pictures
    thread_ranks.run(2, lambda world: attempt(world, 8, 8, 4))  # at any moment 1 + 1
    with pytest.raises(ValueError, match=r"33 training pictures has a single one .* --drop-last, or choose another"):
        thread_ranks.run(2, lambda world: attempt(world, 33, 8))
    with pytest.raises(
        ValueError, match=r"has 3 pictures, and one of its 4 parts .*: sync_batch_norm: .* \(2 ranks, 2 channels"
    ):
        thread_ranks.run(2, lambda world: attempt(world, 3, 8, 2))


@pytest.mark.parametrize("kernel", [3, 4])
def test_trying_leaves_no_trace(kernel):
    model, other = small(kernel), small(kernel)
    before = random.get_state()
    try:
        try_single_pictures(model, 4, 1, 1, drop_last=False)
    except ValueError:
        assert kernel == 4
    assert random.get_state() == before
    assert all(np.array_equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    x = Tensor(np.ones((2, 3, 4, 4), np.float32))
    assert np.array_equal(model(x).numpy(), other.eval()(x).numpy())


@pytest.fixture
def pictures(tmp_path):
    draw(tmp_path / "pictures" / "train", ["dark", "light"], 5)
    draw(tmp_path / "pictures" / "val", ["dark", "light"], 1)
    return tmp_path / "pictures"


def run(*words):
    return exit_code(CIFAR.main, arguments(words))


def test_it_is_said_before_an_epoch_is_spent(pictures, tmp_path, capsys):
    assert run(pictures, TINY, "-b 3 --output-dir", tmp_path / "run") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "--drop-last" in err and "--batch-size" in err
    assert not (tmp_path / "run").exists()


def test_dropping_the_last_batch_helps_and_goes_on(pictures, tmp_path, capsys):
    assert run(pictures, TINY, "-b 3 --drop-last --output-dir", tmp_path / "run") == 0
    checkpoint = tmp_path / "run" / "checkpoint_last.npz"
    assert run(pictures, "--epochs 2 --resume", checkpoint) == 0
    state = load_checkpoint(checkpoint)
    assert state["settings"]["drop_last"] is True
    assert state["schedule"]["count"] == 6  # steps: three batches of three, twice; the tenth picture is left out
    del state["settings"]["drop_last"]
    save_checkpoint(checkpoint, state)  # as before the flag was there
    assert run(pictures, "-e --resume", checkpoint) == 0
    assert run(pictures, "--drop-last --epochs 3 --resume", checkpoint) == 2
    assert "a run with drop_last False, not True" in capsys.readouterr().err


def test_unreadable_pictures_may_leave_one(pictures, tmp_path, capsys):
    (pictures / "train" / "dark" / "0.JPEG").write_bytes(b"no picture")
    assert run(pictures, TINY, "-b 2 --max-bad-fraction 0.5 --output-dir", tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert "one picture is left of it" in err and "0.JPEG" in err and err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_an_unreadable_picture_of_any_name_is_told_on_one_line(pictures, tmp_path, capsys):
    name = os.fsencode(pictures / "train" / "dark") + b"/caf\xe9\nline.jpg"
    with open(name, "wb") as file:
        file.write(b"no picture")
    assert run(pictures, TINY, "-b 4 --max-bad-fraction 0.5 --output-dir", tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    path = pictures / "train" / "dark" / r"caf\udce9\nline.jpg"
    assert f"skipped an unreadable picture: {path}: not a JPEG or PNG picture" in lines


def test_notes_of_a_folder_are_said_once(pictures, tmp_path, capsys):
    (pictures / "train" / "dark" / "x.heic").write_bytes(b"1")
    assert run(pictures / "train", TINY, "-b 4 --val-fraction 0.2 --output-dir", tmp_path / "run") == 0
    note = f"note: {pictures / 'train'}: passed over 1 file (1 .heic)"
    assert capsys.readouterr().out.count(note) == 1
    assert run(pictures / "train", "-e --resume", tmp_path / "run" / "checkpoint_last.npz") == 0
    assert capsys.readouterr().out.count(note) == 1
