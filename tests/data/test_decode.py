"""Decoding: every kind of file Pillow meets, and what is out of bounds."""

import re
import struct
import warnings
import zlib

import numpy as np
import pytest
from pictures import picture
from PIL import Image

from minicnn.data import BadImage
from minicnn.data import decode as page
from minicnn.data.decode import load_image


def pixels(path):
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


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
    with pytest.raises(BadImage) as caught:
        load_image(path)
    assert re.search(reason, caught.value.reason)
    assert caught.value.path == str(path)
    assert str(caught.value) == f"{path}: {caught.value.reason}"


def test_missing_file_is_a_bad_image(tmp_path):
    with pytest.raises(BadImage, match="FileNotFoundError"):
        load_image(tmp_path / "gone.jpg")


def test_decompression_bomb_is_a_bad_image(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(BadImage, match="DecompressionBombError"):
        load_image(picture(tmp_path / "large.png", size=(12, 10)))


# --- out of bounds ---


def png(path, width, height, *chunks):
    """A PNG file with this header and these chunks, without pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks, (b"IEND", b"")]
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in parts:
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return path


def test_too_many_pixels_are_refused_by_the_header(tmp_path):
    path = png(tmp_path / "bomb.png", 100_000, 20_000)
    with pytest.raises(BadImage, match=r"bomb.png: .*2000000000 pixels\) exceeds limit of 178956970"):
        load_image(path)


def test_a_chunk_of_text_that_unpacks_to_gigabytes_is_refused(tmp_path):
    bomb = b"Comment\0\0" + zlib.compress(bytes(100 * 2**20))
    with pytest.raises(BadImage, match="bomb"):
        load_image(png(tmp_path / "bomb.png", 4, 4, (b"zTXt", bomb)))


def test_a_sparse_giant_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "giant.jpg"
    with open(path, "wb") as file:
        file.truncate(2**36)
    monkeypatch.setattr("builtins.open", lambda *args, **more: pytest.fail("opened"))
    with pytest.raises(
        BadImage, match=r"giant.jpg: the file has 68,719,476,736 bytes, and a picture at most 268,435,456"
    ):
        load_image(path)


def test_the_bound_of_a_file_is_what_is_just_read(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.png")
    monkeypatch.setattr(page, "MAX_FILE_SIZE", path.stat().st_size)
    assert load_image(path).size == (12, 10)
    monkeypatch.setattr(page, "MAX_FILE_SIZE", path.stat().st_size - 1)
    with pytest.raises(BadImage, match="and a picture at most"):
        load_image(path)


def test_grey_of_32_bits_is_refused_where_its_range_is_not_known(tmp_path):
    Image.fromarray(np.full((4, 5), 0.5, np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.array([[65_536, 0]], np.int32)).save(tmp_path / "deep.tif")
    Image.fromarray(np.array([[-1, 0]], np.int32)).save(tmp_path / "negative.tif")
    for name in ("float.tif", "deep.tif", "negative.tif"):
        with pytest.raises(BadImage, match="grey of 32 bits"):
            load_image(tmp_path / name)
    Image.fromarray(np.array([[0, 65_535, 0x1234]], np.int32)).save(tmp_path / "16.tif")
    assert pixels(tmp_path / "16.tif")[0, :, 0].tolist() == [0, 255, 0x12]


def test_the_first_of_several_frames_is_taken(tmp_path):
    frames = [Image.new("RGB", (6, 4), (color, 0, 0)) for color in (255, 100, 0)]
    for name in ("a.gif", "a.tif", "a.webp"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert (pixels(tmp_path / name) == (255, 0, 0)).all(), name


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = Image.new("L", (8, 8), 255) if mode in ("1", "L", "LA") else Image.new("RGB", (8, 8), "white")
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 65535, np.uint16))
    for ending in ("tif", "png", "jpg", "webp", "bmp", "gif"):
        path = tmp_path / f"a.{ending}"
        try:
            (image if mode == "I;16" else image.convert(mode)).save(path)
        except (OSError, KeyError, ValueError):
            continue  # this format has no such pictures
        assert (pixels(path) >= 250).all(), ending
