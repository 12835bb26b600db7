"""report.html: what stands in it, that it fetches nothing, never makes a run fail, and can be made again."""

import html.parser
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import thread_ranks
from checks import raises
from kill_and_resume import after_batches, ask_to_stop, repeated_part, resumed, small_trainer
from training_of_ranks import make

from minicnn import nn, optim
from minicnn.data import DataLoader, ZeroToOne
from minicnn.optim.lr_scheduler import StepLR
from minicnn.report import Report, run, write_report
from minicnn.report.charts import ticks
from minicnn.report.confusion import chosen, counts
from minicnn.runlog import LogError
from minicnn.storage.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from minicnn.train import Interrupted, Trainer

SECTIONS = ["curves", "mistakes", "confusion", "classes", "filters", "maps", "network", "settings", "environment"]
ALONE = {"meta", "img", "br", "line", "circle", "rect", "polyline", "path"}  # that hold nothing


class Page(html.parser.HTMLParser):
    """A page as its elements: AssertionError where one is not closed in its place, or where anything is fetched."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.section, self.texts = [], [], None, {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert tag not in ("script", "link", "iframe", "object", "embed", "base"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                assert re.match(r"data:image/(png|jpeg);base64,[\w+/=]+$|#\w+$", value), value[:80]
        if tag == "section":
            self.section = attributes["id"]
        self.found.append((self.section, tag, attributes))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in ALONE:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in ALONE:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data

    def of(self, section, tag):
        return [attributes for where, each, attributes in self.found if where == section and each == tag]


def read(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert len(text) < 2e6 and "http" not in text and "url(" not in text.replace("url(#head)", "")
    assert "prefers-color-scheme: dark" in text
    return Page(text)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run with a report, and the callback that made it."""
    folder, report = tmp_path_factory.mktemp("run"), Report()
    settings = {"arch": "<small>", "lr": 0.05, "milestones": [3, 4]}
    trainer = small_trainer(folder, epochs=3, settings=settings, callbacks=[report])
    trainer.classes = ["red & white", "green", "<b>lue"]
    trainer.fit()
    return folder, report, trainer


def test_the_page_has_everything(trained):
    folder, report, trainer = trained
    page = read(folder)
    assert [attributes["id"] for where, tag, attributes in page.found if tag == "section"] == SECTIONS
    assert not any("cannot be shown" in text for text in page.texts.values())
    assert f"best epoch, {trainer.best['epoch']}," in page.texts["curves"]
    assert len(page.of("curves", "svg")) == 3 and len(page.of("curves", "polyline")) == 5
    points = [attributes["points"] for attributes in page.of("curves", "polyline")]
    assert all(len(line.split()) == 3 for line in points)
    wrong = sum(int((labels != guesses).sum()) for labels, guesses, _ in report.predictions)
    assert len(page.of("mistakes", "img")) == 2 * min(wrong, 12) and "Grad-CAM" in page.texts["mistakes"]
    assert f"{wrong} of 20 validation pictures" in page.texts["confusion"]
    assert len(page.of("filters", "img")) == 1 and "8 filters of 3 × 3 × 3" in page.texts["filters"]  # noqa: RUF001
    assert len(page.of("maps", "img")) == 2 and len(page.of("network", "svg")) == 1
    assert "<small>" in page.texts["settings"] and "3, 4" in page.texts["settings"]
    assert "numpy" in page.texts["environment"] and "red & white" in page.texts["classes"]


def test_the_ring_is_at_the_best_epoch(trained):
    folder, _, trainer = trained
    rings = [each for each in read(folder).of("curves", "circle") if "ring" in each["class"]]
    (line, *_) = read(folder).of("curves", "polyline")
    assert len(rings) == 3
    assert rings[0]["cx"] == line["points"].split()[trainer.best["epoch"] - 1].split(",")[0]


def test_predictions_are_those_of_the_last_validation(trained):
    folder, _, trainer = trained
    found = load_checkpoint(folder / "report.npz")
    labels, guesses, sure = found["predictions"]
    val = trainer.validate().values()  # of the same weights
    assert len(labels) == 20 and 100 * (labels == guesses).mean() == pytest.approx(val["top1"])
    assert ((sure > 1 / 3) & (sure <= 1)).all()
    assert counts(labels, guesses, 3).sum() == 20 and np.trace(counts(labels, guesses, 3)) == (labels == guesses).sum()
    shown = [mistake["sure"] for mistake in found["mistakes"]]
    assert shown == sorted(sure[labels != guesses].tolist(), reverse=True)[:12]


def test_it_changes_nothing(trained, tmp_path):
    folder, _, trainer = trained
    small_trainer(tmp_path, epochs=3, settings=trainer.settings).fit()
    expected, found = repeated_part(tmp_path), repeated_part(folder)
    assert found["log.csv"] == expected["log.csv"]
    first, second = (load_checkpoint(each / "checkpoint_last.npz") for each in (folder, tmp_path))
    assert all(np.array_equal(first["model"][name], second["model"][name]) for name in second["model"])
    assert first["random"] == second["random"] and all(p.requires_grad for p in trainer.model.parameters())


def test_it_can_be_made_again(trained, tmp_path):
    folder, _, _ = trained
    again = tmp_path / folder.name
    shutil.copytree(folder, again)
    (again / "report.html").unlink()
    command = [sys.executable, "-m", "minicnn.report", str(again)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{again / 'report.html'}\n"
    assert (again / "report.html").read_bytes() == (folder / "report.html").read_bytes()

    save_checkpoint(again / "report.npz", {"predictions": [1, 2, 3]})
    with raises(CheckpointError, "of its run cannot be shown, TypeError", "remove report.npz"):
        write_report(again)
    (again / "report.npz").unlink()  # as of a run that was killed
    write_report(again)
    page = read(again)
    assert "has left no report.npz" in page.texts["mistakes"] and "8 filters" in page.texts["filters"]
    for path in again.glob("checkpoint_*"):
        path.unlink()
    with raises(CheckpointError, "neither report.npz nor a checkpoint"):
        write_report(again)
    with raises(LogError, "has no epoch yet"):
        write_report(tmp_path)


def test_without_validation_it_says_so(tmp_path):
    small_trainer(tmp_path, epochs=1, validate=False, callbacks=[Report()]).fit()
    page = read(tmp_path)
    for section in ("mistakes", "confusion", "classes"):
        assert "There are no validation pictures" in page.texts[section]
    assert "nothing was validated" in page.texts["curves"] and len(page.of("maps", "img")) == 2


def test_a_fault_in_it_is_one_line(tmp_path, capsys, monkeypatch):
    def fail(*given):
        raise OSError("the disk is full\nat line 3")

    monkeypatch.setattr(run, "write_report", fail)
    small_trainer(tmp_path, epochs=1, callbacks=[Report()]).fit()
    assert capsys.readouterr().out.endswith("note: there is no report.html: OSError: the disk is full\n")
    assert not (tmp_path / "report.html").exists() and (tmp_path / "checkpoint_last.npz").exists()


def test_a_fault_while_it_gathers_is_one_line_too(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "shown", lambda name: 1 / 0)
    small_trainer(tmp_path, epochs=2, callbacks=[Report()]).fit()
    assert capsys.readouterr().out.endswith("note: there is no report.html: ZeroDivisionError: division by zero\n")
    assert not list(tmp_path.glob("report.*"))


def test_a_part_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "flow", lambda *given: 1 / 0)
    monkeypatch.setattr(run, "grad_cam", lambda *given: 1 / 0)
    small_trainer(tmp_path, epochs=1, callbacks=[Report()]).fit()
    page = read(tmp_path)
    assert "cannot be shown: ZeroDivisionError: division by zero" in page.texts["network"]
    assert "There is no Grad-CAM: ZeroDivisionError" in page.texts["mistakes"] and page.of("mistakes", "img")


def test_of_features_there_are_no_pictures(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    model = nn.Linear(6, 3)
    optimizer = optim.SGD(model.parameters(), 0.1)
    loaders = DataLoader(data, 10), DataLoader(data, 10)
    options = {"folder": tmp_path, "epochs": 1, "callbacks": [Report()]}
    Trainer(model, optimizer, StepLR(optimizer, 9), *loaders, ZeroToOne(), **options).fit()
    page = read(tmp_path)
    assert "are no pictures, but features" in page.texts["mistakes"] and page.of("confusion", "svg")
    assert "no convolution" in page.texts["filters"] and "no feature maps" in page.texts["maps"]


def test_a_run_that_goes_on(tmp_path):
    trainer = small_trainer(tmp_path, epochs=2, callbacks=[Report()])
    after_batches(trainer, 11, lambda: ask_to_stop(trainer))
    with pytest.raises(Interrupted):
        trainer.fit()
    assert not (tmp_path / "report.html").exists()
    resumed(small_trainer(tmp_path, epochs=2, callbacks=[Report()])).fit()
    first = (tmp_path / "report.html").read_bytes()
    assert len(read(tmp_path).of("curves", "polyline")[0]["points"].split()) == 2
    resumed(small_trainer(tmp_path, epochs=2, callbacks=[Report()])).fit()  # nothing to do: the page stays
    assert (tmp_path / "report.html").read_bytes() == first


def test_of_two_ranks_it_has_the_pictures_of_both(tmp_path):
    thread_ranks.run(2, lambda world: make(tmp_path, epochs=1, callbacks=[Report()]).fit())
    labels, _, _ = load_checkpoint(tmp_path / "report.npz")["predictions"]
    assert len(labels) == 13  # all of validation
    assert "of 13 validation pictures" in read(tmp_path).texts["confusion"]


# Its parts


def test_of_many_classes_the_most_confused_are_shown():
    rng = np.random.default_rng(0)
    table = np.diag(rng.integers(5, 9, 60))
    table[50, 3], table[7, 50] = 4, 2
    shown = chosen(table)
    assert len(shown) == 30 and {3, 7, 50} <= set(shown) and (np.diff(shown) > 0).all()
    assert len(chosen(table[:40, :40])) == 40


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 3, [1, 1.5, 2, 2.5, 3]),
        (5, 5, [5]),
        (0.011, 0.048, [0.01, 0.02, 0.03, 0.04, 0.05]),
    ],
)
def test_round_numbers_on_an_axis(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)
