"""The contact sheet: the same seed gives the same sheet, of drawn pictures and of the user's."""

import numpy as np
import pytest
from lecture_runs import programs, results_of
from PIL import Image

from minicnn.data import DataError
from minicnn.errors import SettingError

NAME = "07_contact_sheet"


def test_the_sheet_repeats(quick, tmp_path):
    first, again = quick(NAME)["result"], results_of(NAME, "--quick", "--out", str(tmp_path))["result"]
    assert first["sha256"] == again["sha256"]
    assert first["boxes"]["flip"] == 2 and len(first["milliseconds"]) == len(first["boxes"]) - 1


def test_a_picture_of_the_users(tmp_path):
    folder = tmp_path / "pictures" / "inside"
    folder.mkdir(parents=True)
    with pytest.raises(SettingError, match="there is no picture in it"):
        results_of(NAME, "--full", str(folder), "--out", str(tmp_path))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 400, 3), np.uint8)).save(folder / "one.png")
    sheet = programs.load(NAME)
    tiles = sheet._tiles(sheet._first_picture(folder.parent))
    assert len(tiles) == len(sheet.SHEET) and all(tile["image"].size == (160, 160) for tile in tiles.values())
    (folder / "one.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"one\.png"):
        sheet._tiles(sheet._first_picture(folder.parent))
