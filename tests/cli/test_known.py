"""Runs of the example program know their pictures: going on with others, and being tested on what was trained on."""

import re
import shutil

import pytest
from PIL import Image
from programs import SMALL, draw, fails, run

from minicnn.train import load_checkpoint, save_checkpoint

RUN = f"{SMALL} --val-fraction 0.4"


@pytest.fixture(scope="module")
def flat_run(tmp_path_factory):
    """(flat folder of pictures, output folder of a run on them)"""
    folder = tmp_path_factory.mktemp("flat")
    draw(folder / "pictures", ["dark", "light"], 5)
    assert run(folder / "pictures", RUN, "--output-dir", folder / "run") == 0
    return folder / "pictures", folder / "run"


@pytest.fixture
def flat(flat_run, tmp_path):
    """A copy of both, to change, whose run is of the copy."""
    pictures, folder = (shutil.copytree(source, tmp_path / source.name) for source in flat_run)
    return pictures, folder / "checkpoint_last.npz"


def add(folder, count=20):
    for name in ("dark", "light"):
        for k in range(count):
            Image.new("RGB", (70, 70), (k, 3 * k, 200)).save(folder / name / f"more {k}.png")


def forget(path):
    """Make the checkpoint one from before checkpoints knew their pictures."""
    state = load_checkpoint(path)
    del state["pictures"]
    save_checkpoint(path, state)


def test_the_same_pictures_elsewhere_are_gone_on_with(flat, capsys):
    pictures, checkpoint = flat
    assert run(pictures, "--epochs 2 --resume", checkpoint) == 0
    assert "pictures:" not in capsys.readouterr().out


def test_other_pictures_are_refused_and_nothing_is_changed(flat, capsys):
    pictures, checkpoint = flat
    add(pictures, 1)
    before = {path: path.read_bytes() for path in checkpoint.parent.iterdir()}
    err = fails(capsys, pictures, "--epochs 2 --resume", checkpoint)
    assert str(checkpoint) in err and "2 are new" in err and "--other-pictures" in err
    assert {path: path.read_bytes() for path in checkpoint.parent.iterdir()} == before


def test_with_other_pictures_none_changes_sides(flat, capsys):
    """The new ones are trained on, the old ones stay what they were, from run to run."""
    pictures, checkpoint = flat
    add(pictures)
    then = load_checkpoint(checkpoint)["pictures"]
    assert run(pictures, "--other-pictures --epochs 2 --resume", checkpoint) == 0
    assert "going on with other pictures: of the training pictures 40 are new" in capsys.readouterr().out
    now = load_checkpoint(checkpoint)["pictures"]
    assert now["val"]["names"].tolist() == then["val"]["names"].tolist()
    assert set(then["train"]["names"]) < set(now["train"]["names"]) and len(now["train"]["names"]) == 46
    assert run(pictures, "--epochs 3 --resume", checkpoint) == 0  # which are its own now


def test_within_an_epoch_the_pictures_are_the_same(flat, capsys):
    pictures, checkpoint = flat
    add(pictures)
    state = load_checkpoint(checkpoint)
    state["position"]["batch"] = 1
    save_checkpoint(checkpoint, state)
    err = fails(capsys, pictures, "--other-pictures --epochs 2 --resume", checkpoint)
    assert "within an epoch of other pictures" in err and "only one from the end of an epoch" in err


def test_validation_pictures_are_not_trained_on(pictures, ours, tmp_path, capsys):
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    (folder / "val" / "dark" / "2.JPEG").rename(folder / "val" / "dark" / "own.JPEG")
    assert run(folder, SMALL, "--output-dir", tmp_path / "run") == 0
    (folder / "val" / "dark" / "own.JPEG").rename(folder / "train" / "dark" / "own.JPEG")
    err = fails(capsys, folder, "--other-pictures --epochs 2 --resume", tmp_path / "run" / "checkpoint_last.npz")
    assert "1 of its pictures went from validation to training" in err


def test_a_flat_folder_that_has_grown_is_tested_on_what_was_validated_on(flat, capsys):
    pictures, checkpoint = flat
    assert run(pictures, "-e --resume", checkpoint) == 0
    before = capsys.readouterr().out.splitlines()[-1]  # those before it tell the speed
    assert "validation, 4 pictures" in before
    add(pictures)
    assert run(pictures, "-e --resume", checkpoint) == 0
    assert capsys.readouterr().out.splitlines()[-1] == before

    now = load_checkpoint(checkpoint)["pictures"]["val"]
    for path in (pictures / "dark").iterdir():
        path.write_bytes(path.read_bytes() + b"changed")
    assert run(pictures, "-e --resume", checkpoint) == 0
    assert f"note: 2 of the {len(now['names'])} validation pictures are left" in capsys.readouterr().out


def test_a_flat_folder_of_none_of_the_validation_pictures_is_no_test(flat, pictures, trained, capsys):
    add(flat[0])
    for path in flat[0].rglob("*.JPEG"):
        path.unlink()
    assert "holds none of the 4 pictures" in fails(capsys, flat[0], "-e --resume", flat[1])
    assert "holds none of the 6 pictures" in fails(
        capsys, pictures / "train", "-e --resume", trained / "checkpoint_last.npz"
    )


def test_networks_of_one_ensemble_have_not_seen_the_test(flat, tmp_path, capsys):
    pictures, checkpoint = flat
    assert run(pictures, RUN, "--seed 1 --output-dir", tmp_path / "other") == 0
    other = tmp_path / "other" / "checkpoint_last.npz"
    err = fails(capsys, pictures, "--ensemble", checkpoint, other)
    assert re.search(f"{other} was trained on [1-4] of the 4 pictures to test on", err)
    assert run(pictures, "--ensemble", checkpoint, checkpoint) == 0


def test_checkpoints_that_do_not_know_their_pictures_are_accepted_with_a_word(flat, capsys):
    pictures, checkpoint = flat
    forget(checkpoint)
    assert run(pictures, "-e --resume", checkpoint) == 0
    assert "does not know its pictures" in capsys.readouterr().out
    assert run(pictures, "--epochs 2 --resume", checkpoint) == 0
    assert "does not know its pictures" in capsys.readouterr().out
    assert load_checkpoint(checkpoint)["pictures"]["train"]["names"].shape == (6,)


@pytest.mark.parametrize("record", [{"train": {}}, {"train": {"names": [1], "sizes": [1]}, "val": {}}, {"val": None}])
def test_crafted_records(flat, capsys, record):
    pictures, checkpoint = flat
    save_checkpoint(checkpoint, load_checkpoint(checkpoint) | {"pictures": record})
    for flags in ("--resume", "-e --resume", "--ensemble"):
        err = fails(capsys, pictures, flags, checkpoint)
        assert str(checkpoint) in err and "its pictures cannot be used" in err
