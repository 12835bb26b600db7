"""The two pictures of a run, pixel by pixel where that is possible, and without matplotlib's global state."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minicnn import plot
from minicnn.plot import save_comparison, save_curves, save_filters, save_pictures

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
