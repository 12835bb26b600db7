"""Checkpoints: the same state and the same bytes back, every damage noticed, the old file kept when writing fails."""

import gc
import os
import tracemalloc
import weakref

import hypothesis.strategies as st
import numpy as np
import pytest
from fuzz_checkpoints import fuzz
from hypothesis import given, settings
from small_disk import Disk

from minicnn import Tensor
from minicnn.storage import checkpoint
from minicnn.storage.files import atomic_write, sweep
from minicnn.train import CheckpointError, is_checkpoint, load_checkpoint, save_checkpoint

STATE = {
    "model": {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": Tensor(np.float64([1.5, np.nan]))},
    "velocities": [None, np.zeros((0, 2)), np.asfortranarray(np.eye(3)), np.int64(7)],
    "scalar": np.array(2.5),
    "plain": {"lr": 0.1 + 0.2, "inf": float("inf"), "big": 2**100, "flag": True, "text": "Größe", "none": None},
    "empty": [{}, []],
}


def assert_same(found, expected):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, (np.ndarray, Tensor)):
        expected = np.asarray(expected)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
        assert type(found) in (type(expected), int)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(path, STATE)
    return path


def test_comes_back(saved):
    assert_same(load_checkpoint(saved), STATE)


def test_is_an_npz_file(saved):
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["model/weight"], STATE["model"]["weight"])


def test_equal_states_make_equal_files(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    other = {**STATE, "velocities": [None, np.zeros((0, 2)), np.eye(3), 7]}  # another memory layout
    save_checkpoint(tmp_path / "other.npz", other)
    assert (tmp_path / "other.npz").read_bytes() == saved.read_bytes()
    save_checkpoint(tmp_path / "again.npz", load_checkpoint(saved))
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_flipped_bit_and_truncation_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    save_checkpoint(path, STATE)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1), label="byte")
    if data.draw(st.booleans(), label="truncate"):
        content = content[:position]
    else:
        content[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.npz is damaged .* use another checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 5000, bytes(64)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.pth is damaged or no minicnn checkpoint"):
        load_checkpoint(path)


def test_plain_npz_is_refused(tmp_path):
    np.savez(tmp_path / "plain.npz", a=np.ones(3))
    with pytest.raises(CheckpointError, match="no minicnn checkpoint"):
        load_checkpoint(tmp_path / "plain.npz")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.npz: No such file"):
        load_checkpoint(tmp_path / "nowhere.npz")
    with pytest.raises(CheckpointError, match="Is a directory"):
        load_checkpoint(tmp_path)


SELF: list = []
SELF.append(SELF)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({1: 2}, "must be text"),
        ({"a": {"$array": "b"}}, "keys of a must be text"),
        ({"a": {"b": object()}}, "a/b is a object"),
        ({"a": {"b": np.ones(1)}, "a/b": np.ones(1)}, "two arrays would both be called a/b"),
        ({"a\0b": np.ones(1)}, r"an array cannot be called 'a\\x00b'; give its key"),
        ({"\udce9": np.ones(1)}, r"an array cannot be called '\\udce9'"),
        ({"a" * 70000: np.ones(1)}, "an array cannot be called 'aaa"),
        ({"a": np.ma.masked_array([1, 2], [0, 1])}, "a: a masked array would lose its mask"),
        ({"a": np.datetime64("2020-01-01")}, "a is a date, neither"),
        ({"a": np.longdouble(1)}, "a is a longdouble, neither"),
        ({"a": memoryview(b"a")}, "a is a memoryview, neither"),
        ([{1: 2}], "keys of 0 must be text"),
        (SELF, "nested too deeply, or is in itself"),
    ],
)
def test_states_that_cannot_be_written(tmp_path, state, message):
    with pytest.raises(TypeError, match=message):
        save_checkpoint(tmp_path / "c.npz", state)
    assert not list(tmp_path.iterdir())


def test_objects_are_never_pickled(tmp_path):
    with pytest.raises(TypeError, match="a is an array of object; only numbers"):
        save_checkpoint(tmp_path / "c.npz", {"a": np.array([object()])})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [0, 100, 900, 1500])
def test_full_disk_leaves_the_old_file(saved, monkeypatch, room):
    before = saved.read_bytes()
    assert room < len(before)
    Disk(monkeypatch, room)
    with pytest.raises(CheckpointError, match=r"cannot write checkpoint .*No space left.*unchanged"):
        save_checkpoint(saved, {**STATE, "new": np.ones(10)})
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_data_is_on_the_disk_before_it_has_the_name(saved, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args)))
    save_checkpoint(saved, STATE)
    assert calls == ["fsync", "replace", "fsync"]  # the file, the name, the folder


def test_unfinished_files_are_swept(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    (tmp_path / ".checkpoint_last.npz.unfinished").write_bytes(b"half")
    (tmp_path / ".mine").write_bytes(b"whole")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine"]


def test_what_was_loaded_is_free_with_its_last_name(saved):
    gc.collect()
    gc.disable()
    try:
        state = load_checkpoint(saved)
        freed = [weakref.ref(array) for array in state["model"].values()]
        del state
        assert len(freed) > 1 and all(array() is None for array in freed)
    finally:
        gc.enable()


def test_no_second_copy_in_memory(tmp_path):
    state = {"weights": [np.ones(1 << 20) for _ in range(4)]}  # 32 MiB
    tracemalloc.start()
    save_checkpoint(tmp_path / "c.npz", state)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_a_checkpoint_is_known_by_its_beginning(saved, tmp_path):
    content = saved.read_bytes()
    assert is_checkpoint(saved) and is_checkpoint(str(saved))
    saved.write_bytes(content[: len(content) // 2])  # damaged, and still no file of another kind
    assert is_checkpoint(saved)
    np.savez(tmp_path / "plain.npz", a=np.ones(3))
    (tmp_path / "short").write_bytes(content[:39])
    os.mkfifo(tmp_path / "pipe")
    names = ("plain.npz", "short", "pipe", ".", "nowhere", "nul\0", "n" * 5000)
    assert not any(is_checkpoint(tmp_path / name) for name in names)


def test_looking_for_a_checkpoint_never_fails(saved):
    content = saved.read_bytes()
    for position in range(1000):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        saved.write_bytes(damaged)
        assert is_checkpoint(saved) in (True, False)


def test_a_file_that_shrinks_or_grows_while_it_is_read(saved, monkeypatch):
    content = saved.read_bytes()
    real = checkpoint.Archive
    for changed in (content[: len(content) // 2], content[:200] + bytes(500) + content[700:], b""):
        saved.write_bytes(content)
        monkeypatch.setattr(checkpoint, "Archive", lambda *args, c=changed: (saved.write_bytes(c), real(*args))[1])
        with pytest.raises(CheckpointError):
            load_checkpoint(saved)


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(CheckpointError, match="Not a regular file"):
            load_checkpoint(path)


def test_a_state_that_memory_has_no_room_for(saved, monkeypatch):
    def empty(*args):
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(CheckpointError, match="does not fit into memory: Unable to allocate 9 GiB"):
        load_checkpoint(saved)


@pytest.mark.parametrize("seed", [0, 1])  # a run with SGD, one with AdamW
def test_a_slice_of_the_fuzz(seed):
    """All of it: tests/support/fuzz_checkpoints.py."""
    assert sum(fuzz(cases=75, seed=seed).values()) == 75
