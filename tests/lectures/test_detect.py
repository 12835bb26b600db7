"""Finding objects: what the quick run holds to, and the direction of the default one; the layout of VOC."""

import numpy as np
import pytest
from checks import raises
from lecture_runs import lecture_module, program
from PIL import Image

from minicnn.data import DataError
from minicnn.detection import iou
from minicnn.errors import SettingError

NAME = "20_detect"
scenes = lecture_module("common.scenes")
voc = lecture_module("common.voc")


def test_every_way_is_measured(quick):
    result = quick(NAME)["result"]
    assert set(result["ways"]) == {"frozen", "fine-tuned", "from scratch"}
    for way, curves in result["curves"]["precision"].items():
        (values,), (mAP,) = curves, result["ways"][way]["mAP"]
        assert len(values) == 101 and values == sorted(values, reverse=True)
        assert 100 * np.mean(values) == pytest.approx(mAP, abs=2)  # the area below the curve
    picture = result["curves"]["pictures"][0]
    assert picture["map"] in ("12 x 12", "6 x 6") and len(picture["matched"]) and len(picture["defaults"]) == 4


def test_an_edge_of_the_rates_is_told():
    rate = program(NAME)._rate
    assert "edge" in rate(0.003) and "edge" in rate(0.03) and rate(0.01) == "at a rate of 0.01"


@pytest.mark.lectures
def test_pre_training_finds_more(default):
    ways = {name: np.mean(way["mAP"]) for name, way in default(NAME)["result"]["ways"].items()}
    assert ways["fine-tuned"] > ways["from scratch"] + 5


def test_scenes():
    """One to three boxes, that lie in their scene and overlap little; each seed has scenes of its own."""
    some = scenes.scenes(20, 96, [0, 1])
    assert max(len(sample["boxes"]) for sample in some) == 3
    for sample in some:
        boxes = sample["boxes"]
        assert sample["image"].size == (96, 96) and len(boxes) == len(sample["labels"]) > 0
        assert (boxes >= 0).all() and (boxes <= 96).all() and (boxes[:, 2:] - boxes[:, :2] >= 23).all()
        assert (iou(boxes, boxes) - np.eye(len(boxes)) <= 0.1).all()
    again, other = scenes.scenes(1, 96, [0, 1])[0], scenes.scenes(1, 96, [0, 2])[0]
    assert np.array_equal(again["image"], some[0]["image"]) and not np.array_equal(again["image"], other["image"])


def annotation(box=(1, 1, 30, 20), size=(60, 40), name="cat", difficult=0):
    corners = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    inside = f"<name>{name}</name><difficult>{difficult}</difficult><bndbox>{corners}</bndbox>"
    width, height = size
    shape = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation>{shape}<object>{inside}</object></annotation>"


@pytest.fixture
def layout(tmp_path):
    """A folder in VOC's layout of three pictures, 60 x 40."""
    for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (tmp_path / folder).mkdir(parents=True)
    texts = {"a": annotation(), "b": annotation((31, 11, 60, 40), name="dog", difficult=1), "c": annotation(name="dog")}
    for name, text in texts.items():
        (tmp_path / "Annotations" / f"{name}.xml").write_text(text)
        Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
    (tmp_path / "ImageSets/Main/trainval.txt").write_text("a\nb\n")
    (tmp_path / "ImageSets/Main/test.txt").write_text("c\n")
    return tmp_path


def test_voc(layout):
    training = voc.Voc(layout, "trainval")
    assert training.names == ["cat", "dog"] and len(training) == 2
    assert training[1]["boxes"].tolist() == [[30, 10, 60, 40]]  # the pixels 31 to 60 and 11 to 40, counted from 1
    assert training[1]["labels"].tolist() == [1] and training[1]["difficult"].tolist() == [True]
    assert training[0]["difficult"].tolist() == [False]
    (sample,) = voc.Voc(layout, "test", (300, 100), training.names)
    assert sample["image"].size == (300, 100) and sample["boxes"].tolist() == [[0, 0, 150, 50]]
    assert sample["labels"].tolist() == [1]


@pytest.mark.parametrize(
    ("file", "text", "parts"),
    [
        ("Annotations/a.xml", annotation((1, 1, 61, 20)), ("a.xml", "does not lie in its picture", "x1 <= 60")),
        ("Annotations/a.xml", annotation((30, 1, 20, 20)), ("a.xml", "box 0")),
        ("Annotations/a.xml", annotation(("x", 1, 20, 20)), ("a.xml", "no annotation of VOC's")),
        ("Annotations/a.xml", "<annotation>", ("a.xml", "no annotation of VOC's")),
        ("Annotations/a.xml", "<annotation/>", ("a.xml", "no annotation of VOC's")),
        ("Annotations/a.xml", '<!DOCTYPE a [<!ENTITY b "b">]>' + annotation(), ("a.xml", "document type")),
        ("Annotations/a.xml", None, ("a.xml", "cannot be read", "VOC's layout")),
        ("ImageSets/Main/trainval.txt", None, ("trainval.txt", "cannot be read", "VOC's layout")),
        ("ImageSets/Main/trainval.txt", "", ("trainval.txt", "names no picture")),
        ("ImageSets/Main/trainval.txt", "../a\n", ("'../a'", "no name of a picture")),
    ],
)
def test_folders_that_are_none(layout, file, text, parts):
    (layout / file).unlink() if text is None else (layout / file).write_text(text)
    with raises(SettingError, *parts):
        voc.Voc(layout, "trainval")


def test_pictures_that_do_not_fit_their_annotation(layout):
    training = voc.Voc(layout, "trainval")
    Image.new("RGB", (61, 40)).save(layout / "JPEGImages/a.jpg")
    (layout / "JPEGImages/b.jpg").write_bytes(b"none")
    with raises(SettingError, "a.jpg is (61, 40)", "(60, 40)"):
        training[0]
    with raises(DataError, "b.jpg", "not a JPEG"):
        training[1]
    (layout / "JPEGImages/b.jpg").unlink()
    with raises(DataError, "b.jpg", "No such file"):
        training[1]
    with raises(SettingError, "the class 'dog'", "the training pictures lack"):
        voc.Voc(layout, "test", names=["cat"])
