"""The synthetic set: the same bytes from the same seed, drawn once, whole or not at all, and not trivial."""

import numpy as np
import pytest

from minicnn.data import draw_sample, train_and_val
from minicnn.data.sample import PATTERNS, SIDES, draw_picture


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def draw(folder, seed=0):
    return draw_sample(folder, seed=seed, train_per_class=2, val_per_class=1)


def test_the_same_seed_draws_the_same_bytes(tmp_path):
    one, two, other = (
        content(draw(tmp_path / "a")),
        content(draw(tmp_path / "b")),
        content(draw(tmp_path / "c", seed=1)),
    )
    assert one == two
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)


def test_the_layout_is_imagenets(tmp_path):
    folder = draw(tmp_path)
    train, val = train_and_val(folder)
    assert train.classes == sorted(PATTERNS) and len(PATTERNS) == 10
    assert (len(train), len(val)) == (20, 10)
    sizes = {train.load(i).size for i in range(len(train))}
    assert len(sizes) > 10
    assert all(SIDES[0] <= side <= SIDES[1] for size in sizes for side in size)
    files = content(folder)
    assert files["train/bricks/bricks_00000.JPEG"] != files["val/bricks/bricks_00000.JPEG"]
    assert files["train/bricks/bricks_00000.JPEG"][:3] == b"\xff\xd8\xff"  # JPEG
    assert "synthetic" in (folder / "README.txt").read_text() and "seed 0" in (folder / "README.txt").read_text()


def test_it_is_drawn_once(tmp_path, monkeypatch):
    folder = draw(tmp_path)
    monkeypatch.setattr("minicnn.data.sample.draw_picture", lambda *_: pytest.fail("drawn again"))
    assert draw(tmp_path) == folder


def test_seed_and_size_have_folders_of_their_own(tmp_path):
    folders = {
        draw(tmp_path),
        draw(tmp_path, seed=1),
        draw_sample(tmp_path, 0, train_per_class=1, val_per_class=1),
    }
    assert len(folders) == 3


def test_an_incomplete_set_is_drawn_again(tmp_path):
    folder = draw(tmp_path)
    before = content(folder)
    (folder / "val" / "dots" / "dots_00000.JPEG").unlink()
    assert draw(tmp_path) == folder
    assert content(folder) == before


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    drawn = []

    def interrupted(name, rng):
        drawn.append(name)
        if len(drawn) == 7:
            raise KeyboardInterrupt
        return draw_picture(name, rng)

    with monkeypatch.context() as patch:
        patch.setattr("minicnn.data.sample.draw_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            draw(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(content(draw(tmp_path))) == 31


def test_two_processes_at_once(tmp_path, monkeypatch):
    """Another process finishes while this one draws: its set is taken, and is the same."""
    from minicnn.data import sample

    draw_all = sample._draw_all
    other, inode = [], []

    def slow(folder, seed, per_class):
        draw_all(folder, seed, per_class)
        if not other:
            other.append(True)
            inode.append(draw(tmp_path).stat().st_ino)

    monkeypatch.setattr(sample, "_draw_all", slow)
    folder = draw(tmp_path)
    assert len(content(folder)) == 31
    assert list(tmp_path.iterdir()) == [folder]
    assert folder.stat().st_ino == inode[0]  # not replaced: the other process may be reading it


def test_colours_and_brightness_do_not_give_the_class_away():
    """Linear regression from mean and deviation of each channel finds the class little better than by chance (.1)."""
    rng = np.random.default_rng(0)
    features, labels = [], []
    for _ in range(40):
        for label, name in enumerate(PATTERNS):
            pixels = draw_picture(name, rng).reshape(-1, 3) / 255
            features.append([1, *pixels.mean(axis=0), *pixels.std(axis=0)])
            labels.append(label)
    features, labels = np.array(features), np.array(labels)
    weight = np.linalg.lstsq(features[:200], np.eye(10)[labels[:200]], rcond=None)[0]
    accuracy = ((features[200:] @ weight).argmax(axis=1) == labels[200:]).mean()
    assert accuracy < 0.3
