"""The two pictures of a run, pixel by pixel where that is possible, and without matplotlib's global state."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minicnn import Tensor, plot
from minicnn.plot import save_comparison, save_curves, save_filters, save_pictures
from minicnn.sheet import LINE, SIZES, drawable, fitting

LOG = """epoch,lr,train_loss,train_top1,val_loss,val_top1
1,0.01,2.3,10,2.2,20
2,0.001,1.3,60,1.5,50
"""


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_filters_are_stretched_one_by_one(tmp_path):
    weight = np.zeros((2, 3, 2, 2), np.float32)
    weight[0, :, 0, 0] = [0.001, 0.0005, 0.0]  # small numbers, full brightness
    weight[1, :, 1, 1] = [-5, 5, 0]
    save_filters(weight, tmp_path / "filters.png", zoom=1)
    found = pixels(tmp_path / "filters.png")
    assert found.shape == (4, 7, 3)  # two filters of 2x2 and lines of one pixel
    assert found[1, 1].tolist() == [255, 128, 0] and found[2, 2].tolist() == [0, 0, 0]
    assert found[2, 5].tolist() == [0, 255, 128] and found[1, 4].tolist() == [128, 128, 128]
    assert (found[[0, 3]] == 255).all() and (found[:, [0, 3, 6]] == 255).all()


def test_filters_of_other_layers_are_grey(tmp_path):
    weight = np.random.default_rng(0).normal(size=(5, 8, 3, 4))
    weight[4] = 2.0  # constant: no division by zero
    save_filters(weight, tmp_path / "filters.png", zoom=2)
    found = pixels(tmp_path / "filters.png")
    assert found.shape == (2 * (2 * 4 + 1), 2 * (3 * 5 + 1), 3)
    assert (found == found[..., :1]).all()


def test_pictures_stand_in_order(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), np.uint8)
    save_pictures(pictures, tmp_path / "pictures.png")
    found = pixels(tmp_path / "pictures.png")
    assert found.shape == (2 * (4 + 1) + 1, 3 * (6 + 1) + 1, 3)
    assert (found[1:5, 8:14] == pictures[1].transpose(1, 2, 0)).all()
    assert (found[6:10, 1:7] == pictures[3].transpose(1, 2, 0)).all()


def test_labels_stand_below_their_pictures_and_a_title_above(tmp_path):
    """Without its texts the sheet is as it was; each text changes its own place and no other."""
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 20, 30), np.uint8)
    names = ["one", "two", "three", "four", "five"]
    sheets = {}
    for key, labels, title in (
        ("plain", None, ""),
        ("labels", names, ""),
        ("other", [*names[:3], "sechs", "five"], ""),
        ("title", names, "features.0.weight"),
    ):
        save_pictures(pictures, tmp_path / "pictures.png", 2, labels, title)
        sheets[key] = pixels(tmp_path / "pictures.png")
    assert sheets["plain"].shape == (2 * 42 + 2, 3 * 62 + 2, 3)
    assert sheets["labels"].shape == (2 * (42 + LINE) + 2, 3 * 62 + 2, 3)
    assert sheets["title"].shape == (2 * (42 + LINE) + LINE + 2, 3 * 62 + 2, 3)
    assert (sheets["title"][LINE:] == sheets["labels"]).all() and (sheets["title"][:LINE] < 128).any()
    for i, picture in enumerate(pictures):
        y, x = 2 + i // 3 * (42 + LINE), 2 + i % 3 * 62
        assert (sheets["labels"][y : y + 40 : 2, x : x + 60 : 2] == picture.transpose(1, 2, 0)).all()
        below = slice(y + 40, y + 40 + LINE), slice(x, x + 62)
        assert (sheets["labels"][below] < 128).any(), f"nothing below picture {i}"
        assert (sheets["labels"][below] == sheets["other"][below]).all() == (i != 3)


def test_labels_of_a_wrong_number(tmp_path):
    pictures = np.zeros((3, 3, 4, 4), np.uint8)
    with pytest.raises(ValueError, match="sheet: 3 pictures with 1 labels; there must be one for each"):
        save_pictures(pictures, tmp_path / "pictures.png", labels=["a"])
    assert not (tmp_path / "pictures.png").exists()


def test_what_is_no_picture_and_no_filter(tmp_path):
    path, pictures = tmp_path / "pictures.png", np.zeros((3, 3, 4, 4), np.uint8)
    for wrong in (
        pictures[:0],
        pictures[:, :1],
        pictures[0],
        pictures.astype(np.float32),
        pictures.transpose(0, 2, 3, 1),
    ):
        with pytest.raises(ValueError, match=r"sheet: pictures must be uint8 \(N, 3, H, W\), got (uint8|float32) \("):
            save_pictures(wrong, path)
    for wrong in (pictures[:0], pictures[0, 0], pictures > 0, np.zeros((2, 0, 3, 3))):
        with pytest.raises(ValueError, match=r"save_filters: weight must be numbers \(OC, C, KH, KW\)"):
            save_filters(wrong, path)
    for zoom in (0, -1):
        with pytest.raises(ValueError, match="sheet: zoom must be at least 1"):
            save_pictures(pictures, path, zoom=zoom)
    assert not path.exists()
    save_pictures(Tensor(pictures), path)
    assert pixels(path).shape[2] == 3


def test_labels_are_shortened_to_their_pictures():
    names = ["tench", "great white shark, white shark, man-eater"]
    texts, font = fitting(names, 70)
    assert texts[0] == "tench" and texts[1].startswith("great w") and texts[1].endswith("…")
    assert font.getlength(texts[1]) <= 70 < font.getlength(names[1]) and font.size == SIZES[-1]
    assert fitting(names, 1000)[0] == names and fitting(names, 1000)[1].size == SIZES[0]
    assert fitting(["checkerboard"], 70)[1].size < SIZES[0]  # all of it, in smaller letters
    assert fitting(names, 15)[0] == ["", ""]  # two letters would tell nothing


def test_letters_that_the_font_does_not_have():
    assert drawable("Straße, café, β") == "Straße, café, β"
    assert drawable("猫 caf\udce9\n") == "\\u732b caf\\udce9\\n"


@pytest.mark.parametrize("log", [LOG, LOG.replace("2.2,20", ",").replace("1.5,50", ","), LOG[: LOG.index("2,0.001")]])
def test_curves(tmp_path, log):
    (tmp_path / "log.csv").write_text(log)
    save_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    found = pixels(tmp_path / "curves.png")
    blue = (abs(found[..., :3].astype(int) - [31, 119, 180]) < 8).all(axis=-1)
    assert found.shape[:2] == (360, 1200)
    assert all(blue[:, 400 * i : 400 * (i + 1)].any() for i in range(3)), "a panel without its curve"


def test_matplotlib_is_imported_only_when_needed_and_has_no_state(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    program = (
        "import sys, minicnn.plot, minicnn.train\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"minicnn.plot.save_curves({str(tmp_path / 'log.csv')!r}, {str(tmp_path / 'curves.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("last", [2, 40])
def test_every_epoch_is_on_the_picture(tmp_path, monkeypatch, last):
    (tmp_path / "log.csv").write_text(LOG.replace("2,0.001", f"{last},0.001"))
    panels = []
    monkeypatch.setattr(plot, "_panels", lambda labels, real=plot._panels: panels.append(real(labels)) or panels[-1])
    save_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    save_comparison({"run": tmp_path / "log.csv"}, tmp_path / "comparison.png")
    for _, axes in panels:
        assert all(each.get_xlim()[0] == 0 and each.get_xlim()[1] >= last for each in axes)


BEST = """epoch,lr,train_loss,train_top1,val_loss,val_top1
1,0.01,2.3,10,2.2,20
2,0.01,1.3,60,1.5,50
3,0.01,1.2,70,1.6,50
4,0.01,1.1,65,1.4,40
"""


@pytest.mark.parametrize(
    ("log", "rings"),
    [
        (BEST, [("best epoch: 2, 1.500", [2, 1.5]), ("best epoch: 2, 50.00 %", [2, 50])]),  # the first of equal ones
        (
            "".join(line[: line.rindex(",", 0, line.rindex(","))] + ",,\n" for line in BEST.splitlines()[1:]),
            [("best epoch: 3, 1.200", [3, 1.2]), ("best epoch: 3, 70.00 %", [3, 70])],
        ),
    ],
    ids=["val", "train"],
)
def test_the_best_epoch_has_a_ring(tmp_path, monkeypatch, log, rings):
    """That of checkpoint_best: by validation, or, without any, by training."""
    header = BEST.splitlines(keepends=True)[0]
    (tmp_path / "log.csv").write_text(log if log.startswith(header) else header + log)
    made = []
    monkeypatch.setattr(plot, "_panels", lambda labels, real=plot._panels: made.append(real(labels)) or made[-1])
    save_curves(tmp_path / "log.csv", tmp_path / "curves.png")
    save_comparison({"run": tmp_path / "log.csv"}, tmp_path / "comparison.png")
    (_, (loss, top1, lr)), (_, compared) = made
    found = [(each.get_label(), each.get_offsets().tolist()[0]) for axes in (loss, top1) for each in axes.collections]
    assert found == rings and not lr.collections
    ringed = [[each.get_offsets().tolist()[0] for each in axes.collections] for axes in compared]
    assert ringed == ([[], [[2, 50]]] if "2.2" in log else [[[3, 70]], []])


def test_a_comparison_shows_each_run(tmp_path):
    """One more run changes the figure, and so does their order; a column without values is no error."""
    (tmp_path / "a.csv").write_text(LOG)
    (tmp_path / "b.csv").write_text(LOG.replace("60", "70"))
    (tmp_path / "unvalidated.csv").write_text(LOG.replace(",2.2,20", ",,").replace(",1.5,50", ",,"))
    drawn = []
    for names in (["a"], ["a", "b"], ["b", "a"], ["a", "unvalidated"]):
        save_comparison({name: tmp_path / f"{name}.csv" for name in names}, tmp_path / "comparison.png")
        drawn.append(pixels(tmp_path / "comparison.png"))
    assert len({array.tobytes() for array in drawn}) == 4


def test_a_comparison_has_training_and_validation_in_their_panels(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(LOG)
    (tmp_path / "b.csv").write_text(LOG.replace("60", "70").replace("50", "55"))
    made, real = [], plot._panels
    monkeypatch.setattr(plot, "_panels", lambda labels: made.append(real(labels)) or made[-1])
    save_comparison({name: tmp_path / f"{name}.csv" for name in ("a", "b")}, tmp_path / "comparison.png")
    ((_, panels),) = made
    drawn = {axes.get_ylabel(): [line.get_xydata().tolist() for line in axes.lines] for axes in panels}
    assert drawn == {
        "training top-1 (%)": [[[1, 10], [2, 60]], [[1, 10], [2, 70]]],
        "validation top-1 (%)": [[[1, 20], [2, 50]], [[1, 20], [2, 55]]],
    }
