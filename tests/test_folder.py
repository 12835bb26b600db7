"""Image folders: labels, layouts, the seeded split, every kind of file Pillow meets, and clear errors."""

import warnings

import numpy as np
import pytest
from PIL import Image

from minicnn.data import BadImage, DataError, ImageFolder, train_and_val
from minicnn.data.folder import load_image


def picture(path, color=(200, 100, 50), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def flat_folder(root, counts):
    for name, count in counts.items():
        for k in range(count):
            picture(root / name / f"{k:03d}.png")
    return root


def pixels(path):
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


# --- which files, which labels ---


def test_classes_and_samples_are_sorted_and_other_files_are_passed_over(tmp_path):
    for name in ("b/2.JPEG", "b/10.jpg", "a/x.PNG", "a/deeper/y.jpeg", "a/.hidden.png", ".cache/z.png"):
        picture(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "README.txt").write_text("not a class")
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["a", "b"]
    found = [(path.removeprefix(str(tmp_path)).replace("\\", "/"), label) for path, label in folder.samples]
    assert found == [("/a/deeper/y.jpeg", 0), ("/a/x.PNG", 0), ("/b/10.jpg", 1), ("/b/2.JPEG", 1)]
    assert len(folder) == 4
    assert folder.load(1).size == (12, 10)


def test_train_and_val_folders(tmp_path):
    flat_folder(tmp_path / "train", {"cat": 3, "dog": 2})
    flat_folder(tmp_path / "val", {"cat": 1, "dog": 2})
    train, val = train_and_val(tmp_path)
    assert (len(train), len(val)) == (5, 3)
    assert train.classes == val.classes == ["cat", "dog"]


def test_flat_folder_is_split_per_class_by_the_seed(tmp_path):
    flat_folder(tmp_path, {"many": 40, "two": 2, "one": 1})
    train, val = train_and_val(tmp_path, val_fraction=0.1, seed=5)
    assert np.bincount([label for _, label in val.samples], minlength=3).tolist() == [
        4,
        0,
        1,
    ]  # many, one, two
    assert np.bincount([label for _, label in train.samples], minlength=3).tolist() == [36, 1, 1]
    assert sorted(train.samples + val.samples) == ImageFolder(tmp_path).samples
    assert train.samples == sorted(train.samples)

    again = train_and_val(tmp_path, val_fraction=0.1, seed=5)
    assert (again[0].samples, again[1].samples) == (train.samples, val.samples)
    assert train_and_val(tmp_path, val_fraction=0.1, seed=6)[1].samples != val.samples


def test_the_split_of_a_class_does_not_depend_on_the_others(tmp_path):
    flat_folder(tmp_path / "one", {"a": 20})
    flat_folder(tmp_path / "two", {"a": 20, "b": 7})
    chosen = [
        [path[-7:] for path, label in train_and_val(tmp_path / name)[1].samples if label == 0]
        for name in ("one", "two")
    ]
    assert chosen[0] == chosen[1]


def test_val_may_be_empty_when_every_class_has_one_picture(tmp_path):
    flat_folder(tmp_path, {"a": 1, "b": 1})
    train, val = train_and_val(tmp_path, val_fraction=0.5)
    assert (len(train), len(val)) == (2, 0)


# --- what is wrong with a folder ---


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        train_and_val(tmp_path / "nowhere")


def test_folder_without_classes(tmp_path):
    with pytest.raises(DataError, match="no class folders"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("present, missing", [("train", "val"), ("val", "train")])
def test_missing_train_or_val(tmp_path, present, missing):
    flat_folder(tmp_path / present, {"a": 1})
    with pytest.raises(DataError, match=f"has {present}/ but no {missing}/.*split by a seed"):
        train_and_val(tmp_path)


def test_empty_class_folder(tmp_path):
    flat_folder(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"class folder\(s\) empty; add pictures or remove"):
        ImageFolder(tmp_path)


def test_val_with_other_classes(tmp_path):
    flat_folder(tmp_path / "train", {"a": 1, "b": 1})
    flat_folder(tmp_path / "val", {"b": 1, "c": 1})
    with pytest.raises(DataError, match="lacks a and also has c"):
        train_and_val(tmp_path)


def test_val_in_one_heap_as_imagenet_ships_it(tmp_path):
    flat_folder(tmp_path / "train", {"a": 1})
    picture(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(DataError, match="sort them into class folders"):
        train_and_val(tmp_path)


def test_val_fraction_out_of_range(tmp_path):
    with pytest.raises(ValueError, match=r"val_fraction must lie in \[0, 1\), not 1"):
        train_and_val(tmp_path, val_fraction=1)


# --- decoding ---


def test_grey_is_repeated(tmp_path):
    Image.new("L", (5, 4), 77).save(tmp_path / "grey.png")
    assert (pixels(tmp_path / "grey.png") == 77).all()


def test_16_bit_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 20).astype(np.uint16).reshape(4, 5)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert (pixels(tmp_path / "deep.png") == (ramp >> 8)[..., None]).all()


def test_alpha_is_dropped(tmp_path):
    Image.new("RGBA", (5, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (5, 4), (40, 0)).save(tmp_path / "grey.png")
    assert (pixels(tmp_path / "clear.png") == (10, 20, 30)).all()
    assert (pixels(tmp_path / "grey.png") == 40).all()


def test_cmyk(tmp_path):
    Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK").save(tmp_path / "print.JPEG", quality=100)
    assert np.abs(pixels(tmp_path / "print.JPEG").astype(int) - (200, 100, 50)).max() <= 6


def test_palette_with_transparency_does_not_warn(tmp_path):
    image = Image.new("P", (5, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "palette.png", transparency=bytes([0, 128]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (pixels(tmp_path / "palette.png") == (10, 20, 30)).all()


def test_png_named_jpeg(tmp_path):
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / "n.JPEG", format="PNG")
    assert (pixels(tmp_path / "n.JPEG") == (1, 2, 3)).all()


def test_orientation_is_left_as_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by 90 degrees"
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").size == (8, 4)


def damaged(tmp_path, kind):
    path = tmp_path / f"{kind}.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    if kind == "png":
        Image.fromarray(noise).save(path, format="PNG")
        content = path.read_bytes()[:2000]
    path.write_bytes({"empty": b"", "text": b"no picture at all", "header": content[:30]}.get(kind, content[:2000]))
    return path


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("empty", "empty"),
        ("text", "not a JPEG or PNG"),
        ("truncated", "truncated"),
        ("header", "."),
        ("png", "."),
    ],
)
def test_unreadable_files_are_bad_images(tmp_path, kind, reason):
    path = damaged(tmp_path, kind)
    with pytest.raises(BadImage, match=reason) as caught:
        load_image(path)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"


def test_missing_file_is_a_bad_image(tmp_path):
    with pytest.raises(BadImage, match="FileNotFoundError"):
        load_image(tmp_path / "gone.jpg")


def test_decompression_bomb_is_a_bad_image(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(BadImage, match="DecompressionBombError"):
        load_image(picture(tmp_path / "large.png", size=(12, 10)))
