"""Pictures of a folder of the user's, for the programs of the series."""

import numpy as np
import pytest
from lecture_runs import lecture_module
from programs import draw

from minicnn.data import DataError
from minicnn.errors import SettingError

classes = lecture_module("common.classes").classes


def test_a_folder_gives_bytes_class_by_class(tmp_path):
    draw(tmp_path / "train", ["dark", "light"], 4)
    draw(tmp_path / "val", ["dark", "light"], 3)
    data = classes(tmp_path, 3, 2, side=16)
    assert data.train.dtype == data.test.dtype == np.uint8 and data.train.shape == (6, 3, 16, 16)
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1] and data.classes == ("dark", "light")
    assert data.train[:3].mean() < data.train[3:].mean()
    assert np.allclose(data.standardised().train.mean(axis=(0, 2, 3)), 0, atol=1e-4)
    with pytest.raises(SettingError, match="has 4 pictures where 5 of each class are needed"):
        classes(tmp_path, 5, 2, side=16)


def test_one_class_cannot_be_told_from_another(tmp_path):
    draw(tmp_path, ["dark"], 4)
    with pytest.raises(SettingError, match="has 1 of the 2 classes that are needed"):
        classes(tmp_path, 2, 1, side=16)


def test_too_few_pictures_say_of_which_part_they_are(tmp_path):
    draw(tmp_path, ["dark", "light"], 4)
    with pytest.raises(SettingError, match="pictures to test on: dark has 1 pictures where 2"):
        classes(tmp_path, 2, 2, side=16)


def test_a_damaged_picture_is_named(tmp_path):
    draw(tmp_path / "train", ["dark", "light"], 4)
    draw(tmp_path / "val", ["dark", "light"], 3)
    damaged = sorted((tmp_path / "train" / "dark").iterdir())[0]
    damaged.write_bytes(b"no picture")
    with pytest.raises(DataError, match=damaged.name):
        classes(tmp_path, 4, 2, side=16)


def test_the_first_classes_alone_are_read_and_asked_for_pictures(tmp_path):
    draw(tmp_path, ["dark", "light"], 4)
    draw(tmp_path, ["rare"], 1)
    assert classes(tmp_path, 2, 1, side=16, first=2).classes == ("dark", "light")
    with pytest.raises(SettingError, match="has 3 of the 4 classes that are needed"):
        classes(tmp_path, 2, 1, side=16, first=4)
