"""19_segment: mosaics and their classes, VOC's layout, training picture by picture; pre-training helps."""

import copy

import numpy as np
import pytest
from checks import check_close, raises
from lecture_runs import lecture_module, program, results_of
from PIL import Image

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, optim
from minicnn.data import DataError
from minicnn.errors import SettingError

mosaics = lecture_module("common.mosaics")
segmenting = lecture_module("common.segmenting")
voc = lecture_module("common.voc_masks")


def test_a_mosaic_shows_at_each_pixel_its_class():
    labels = np.repeat(np.arange(6), 3)
    pictures = np.broadcast_to(labels[:, None, None, None], (18, 3, 20, 20)).astype(np.uint8)
    images, maps = mosaics.mosaics(pictures, labels, 9, 4, np.random.default_rng(0))
    assert (images == maps[:, None]).all() and images.dtype == np.uint8 and maps.shape == (9, 20, 20)
    assert {len(np.unique(each)) for each in maps} <= {2, 3, 4} and len(np.unique(maps)) == 6
    with raises(ValueError, "7 cells", "6 classes"):
        mosaics.mosaics(pictures, labels, 1, 7, np.random.default_rng(0))


def test_cells_are_convex():
    """Voronoi's are: between two pixels of a row that belong to a cell there is no other."""
    labels = np.arange(5)
    _, maps = mosaics.mosaics(np.zeros((5, 1, 30, 30), np.uint8), labels, 5, 5, np.random.default_rng(1))
    for row in np.concatenate([*maps, *maps.transpose(0, 2, 1)]):
        assert (np.diff(row) != 0).sum() == len(np.unique(row)) - 1


@pytest.fixture
def folder(tmp_path):
    """VOC's layout with the pictures a and b, 8 x 10 pixels, whose masks have the classes 0, 1 and outlines."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in "ab":
        picture = rng.integers(0, 256, (8, 10, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask = rng.integers(0, 2, (8, 10)).astype(np.uint8)
        mask[0] = 255
        save_mask(tmp_path, name, mask)
    for part in ("train", "val"):
        (tmp_path / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("a\nb\n")
    return tmp_path


def save_mask(folder, name, mask):
    image = Image.fromarray(mask)
    image.putpalette([i % 256 for i in range(768)])  # makes its mode P
    image.save(folder / "SegmentationClass" / f"{name}.png")


def test_voc_is_read(folder):
    data = voc.VocMasks(folder, "val")
    picture, mask = data[1]
    assert len(data) == 2 and picture.shape == (3, 8, 10) and picture.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1, 255} and (mask[0] == 255).all()


@pytest.mark.parametrize("missing", ["JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt"])
def test_another_layout(folder, missing):
    (folder / missing).rename(folder / "elsewhere")
    with raises(SettingError, missing, "VOC's layout", "VOC2012"):
        voc.VocMasks(folder, "train")


def test_no_names(folder):
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("\n")
    with raises(SettingError, "train.txt", "no picture"):
        voc.VocMasks(folder, "train")
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n../b\n")
    with raises(SettingError, "train.txt", "'../b'", "no name"):
        voc.VocMasks(folder, "train")
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_bytes(b"\xff\xfe")
    with raises(SettingError, "train.txt", "cannot be read"):
        voc.VocMasks(folder, "train")


def test_masks_that_are_none(folder):
    save_mask(folder, "a", np.zeros((8, 9), np.uint8))
    with raises(DataError, "a.png", "9 x 8", "10 x 8", "one size"):
        voc.VocMasks(folder, "train")[0]
    save_mask(folder, "a", np.full((8, 10), 21, np.uint8))
    with raises(DataError, "a.png", "21", "0 to 20, or 255"):
        voc.VocMasks(folder, "train")[0]
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(folder / "SegmentationClass" / "a.png")
    with raises(DataError, "a.png", "palette", "mode RGB"):
        voc.VocMasks(folder, "train")[0]
    (folder / "SegmentationClass" / "a.png").write_bytes(b"no picture")
    with raises(DataError, "a.png"):
        voc.VocMasks(folder, "train")[0]


def scaled(pictures):
    return pictures / np.float32(128) - 1


def test_pictures_one_by_one_make_the_step_of_a_batch(folder):
    """Two pictures with as many labelled pixels: their gradients, averaged, are those of both in one array."""
    manual_seed(0)
    model, data = models.fcn(models.cifar_resnet(8), voc.CLASSES, stride=4), voc.VocMasks(folder, "train")
    model.backbone.freeze()
    other = copy.deepcopy(model)
    voc.train(model, data, scaled, epochs=1, lr=0.1, seed=0, device="cpu")
    pictures, masks = (np.stack(parts) for parts in zip(*(data[i] for i in range(2)), strict=True))
    named = [pair for pair in other.named_parameters() if pair[1].requires_grad]
    F.cross_entropy(other(Tensor(scaled(pictures))), masks, ignore_index=255).backward()
    groups = [{"params": [p], "lr": 0.2 if name.endswith("bias") else 0.1} for name, p in named]
    optim.SGD(groups, 0.1, momentum=0.9, weight_decay=5e-4).step()
    assert len(named) == 2
    for name, parameter in named:
        found = dict(model.named_parameters())[name].numpy()
        check_close(found, parameter.numpy(), 1e-6)
        assert found.any()


def test_pictures_are_tested_whole(folder):
    manual_seed(0)
    model, data = models.fcn(models.cifar_resnet(8), voc.CLASSES, stride=2), voc.VocMasks(folder, "val")
    model.scores[0].bias.detach()[1] = 1.0  # all is class 1
    confusion = voc.tested(model, data, scaled, "cpu")
    masks = np.stack([data[i][1] for i in range(2)])
    assert confusion.table.sum() == (masks != 255).sum() and confusion.table[:, 1].sum() == confusion.table.sum()
    assert voc.percent(confusion)["pixel_accuracy"] == pytest.approx(100 * (masks == 1).sum() / (masks != 255).sum())
    assert model.training


@pytest.mark.slow
def test_full_mode(folder, tmp_path, monkeypatch):
    """With a small network in VGG-16's place, and one epoch for each of the three nets."""
    monkeypatch.setattr(voc.pretrained, "load", lambda weights: segmenting.backbone(0).freeze())
    monkeypatch.setattr(voc, "EPOCHS", 1)
    results = results_of("19_segment", "--full", str(folder), "--seeds", "1", "--out", str(tmp_path / "out"))
    assert list(results["result"]["mean_iu"]) == ["FCN-32s", "FCN-16s", "FCN-8s"]
    assert "FCN-16s" in results["measured"] and "classifier" not in results["measured"]
    assert (tmp_path / "out" / "19_segment.full.png").stat().st_size > 1000


def test_the_example_is_a_picture_with_its_maps(quick):
    example, from_text = quick("19_segment")["result"]["curves"], lecture_module("common.pictures").from_text
    truth = from_text(example["truth"])
    assert from_text(example["picture"]).shape == (*truth.shape, 3)
    assert {from_text(each).shape for each in example["predictions"].values()} == {truth.shape}


def test_the_best_rate_is_chosen_for_each_beginning():
    lecture = program("19_segment")
    best = {"pre-trained": 0.2, "frozen": 0.06, "scratch": 0.3}
    kept = {f"{kind} at {rate}": 40 + (rate == best[kind]) for kind in best for rate in lecture.RATES}
    run = lecture_module("common.experiment").Run("default", None, range(1), kept | {"seed 0": "tested"})
    assert lecture.on_mosaics(run) == (best, ["tested"])


def test_a_rate_at_the_edge_is_told(quick):
    rates = {"pre-trained": 0.2, "frozen": 0.06, "scratch": 0.3}
    text = program("19_segment").measured(quick("19_segment")["result"] | {"rates": rates})
    assert "pre-trained 0.2, frozen 0.06 (the edge of what was tried), scratch 0.3 (the edge of what" in text


def test_who_begins_how(monkeypatch):
    """Each with the classifier's weights but "scratch", which has more epochs; "frozen" learns none of these layers."""
    task, trained = segmenting.drawn((2, 1, 1, 8, 2), 0), []
    monkeypatch.setattr(segmenting.training, "train", lambda model, *_, epochs, **__: trained.append((model, epochs)))
    weight = task.classifier.conv1.weight
    for kind, epochs in (("pre-trained", 10), ("frozen", 10), ("scratch", 15)):
        segmenting.trained(task, 8, kind, 0.1, 10, 0)
        model, for_so_long = trained.pop()
        own = next(model.backbone.parameters())
        assert for_so_long == epochs and own is not weight
        assert (own.numpy() == weight.numpy()).all() == (kind != "scratch")
        assert {p.requires_grad for p in model.backbone.parameters()} == {kind != "frozen"}
        assert all(p.requires_grad for p in model.scores.parameters())


@pytest.mark.lectures
@pytest.mark.parametrize("name", ["mean_iu", "pixel_accuracy"])
def test_what_helps(name, default):
    """Pre-training, though each beginning has a rate of its own; each skip; learning all layers.

    FCN-16s and -32s have the rate of FCN-8s."""
    result = {arm: np.mean(values) for arm, values in default("19_segment")["result"][name].items()}
    assert result["FCN-8s"] > result["FCN-16s"] > result["FCN-32s"] + 5
    assert result["FCN-8s"] > max(result["FCN-8s scratch"], result["FCN-8s frozen"])
