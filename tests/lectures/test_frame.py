"""The frame of the series under bad input: one line says what is wrong, and nothing that has been measured is lost."""

import importlib.util
import json
import os
import signal
from types import SimpleNamespace

import pytest
from lecture_runs import LECTURES, experiment, lecture_module
from small_disk import Disk

from minicnn.errors import SettingError
from minicnn.pretrained import WeightsError

index, source = (lecture_module(f"common.{name}") for name in ("index", "source"))
DOC = "A toy.\n\nClaim      .\nPublished  None.\nDone       Nothing.\nMeasured   .\nLook at    this.\n"


@pytest.fixture
def toy(tmp_path):
    """A program whose `each(seed)` measures one value; `calls` are the seeds it was asked for."""
    calls = []

    class Toy:
        file = tmp_path / "50_toy.py"
        out = tmp_path / "out"
        each = staticmethod(lambda seed: 2 * seed)
        measured = staticmethod(lambda result: f"{sum(result['value'])} in all.")

        def lecture(self):
            def measure(run):
                return {"value": [run.once(f"seed {seed}", each, seed) for seed in run.seeds]}

            def each(seed):
                calls.append(seed)
                return self.each(seed)

            return experiment.Lecture(
                str(self.file), DOC, measure, self.measured, lambda figure, result: figure.subplots()
            )

        def run(self, *arguments):
            return self.lecture().run(options("--out", str(self.out), *arguments))

    Toy.file.write_text(f'"""{DOC}"""\n')
    toy = Toy()
    toy.calls = calls
    return toy


def options(*arguments):
    return experiment.parser("").parse_args(arguments)


def fail_at(number, error):
    def each(seed):
        if seed == number:
            raise error
        return 2 * seed

    return each


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a fault"), MemoryError()])
def test_what_was_measured_before_the_end_is_not_measured_again(toy, error, capsys):
    toy.each = fail_at(2, error)
    with pytest.raises(type(error)):
        toy.run()
    assert "50_toy.unfinished.json, and the next run takes it from there" in capsys.readouterr().out
    toy.each = lambda seed: 2 * seed
    assert toy.run("--seeds", "4")["result"] == {"value": [0, 2, 4, 6]}
    assert toy.calls == [0, 1, 2, 2, 3]
    assert sorted(path.name for path in toy.out.iterdir()) == ["50_toy.json", "50_toy.png"]


def test_a_sentence_that_cannot_be_said_loses_no_result(toy):
    right, toy.measured = toy.measured, lambda result: result["missing"]
    with pytest.raises(KeyError):
        toy.run()
    toy.measured = right
    assert toy.run()["measured"] == "6 in all." and toy.calls == [0, 1, 2]
    assert json.loads((toy.out / "50_toy.json").read_text())["measured"] == "6 in all."


def test_another_mode_replaces_nothing(toy):
    toy.run()
    toy.run("--quick")
    toy.run("--full", str(toy.out))
    assert toy.run()["mode"] == "default" and toy.calls == [0, 1, 2, 0, 0, 1, 2]


def test_a_folder_of_pictures_is_known_by_its_place(toy, tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name / "pictures").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        toy.run("--full", "pictures")
    assert toy.calls == [0, 1, 2] * 2


@pytest.mark.parametrize("text", ["", '{"a', "[]", "null", '{"lecture": "50_toy", "mode": "default"}', "\udcff"])
@pytest.mark.parametrize("ending", [".json", ".unfinished.json"])
def test_damaged_results_are_measured_anew(toy, text, ending, capsys):
    toy.out.mkdir()
    (toy.out / f"50_toy{ending}").write_text(text, errors="surrogateescape")
    assert toy.run()["result"] == {"value": [0, 2, 4]}
    assert f"50_toy{ending} is damaged, or of other settings" in capsys.readouterr().out


def test_a_wrong_folder_replaces_nothing_that_is_unfinished(toy, tmp_path):
    folders = [tmp_path / name for name in ("right", "wrong")]
    for folder, each in zip(folders, (fail_at(2, ValueError), fail_at(0, ValueError)), strict=True):
        folder.mkdir()
        toy.each = each
        with pytest.raises(ValueError):
            toy.run("--full", str(folder))
    toy.each = lambda seed: 2 * seed
    toy.run("--full", str(folders[0]))
    assert toy.calls == [0, 1, 2, 0, 2]


@pytest.mark.parametrize("part", ["result", "kept"])
def test_results_of_another_shape_are_measured_anew(toy, part):
    toy.out.mkdir()
    name = "50_toy.json" if part == "result" else "50_toy.unfinished.json"
    (toy.out / name).write_text(json.dumps(toy.lecture().settings("default") | {part: 3}))
    assert toy.run()["result"] == {"value": [0, 2, 4]}


def test_a_full_disk_is_told_before_measuring(toy, monkeypatch):
    Disk(monkeypatch, syncs=0)
    with pytest.raises(SettingError, match="nothing can be written there: No space left"):
        toy.run()
    assert not toy.calls


def test_a_disk_that_fills_up_keeps_the_values_that_fitted(toy, monkeypatch):
    with monkeypatch.context() as full:
        Disk(full, room=1000)
        with pytest.raises(OSError, match="No space left"):
            toy.run()
    before = len(toy.calls)
    toy.run()
    assert before > 1 and len(toy.calls) < before + 3


def test_weights_that_cannot_be_had_are_one_line(toy):
    toy.each = fail_at(0, WeightsError("offline"))
    with pytest.raises(SettingError, match="offline"):
        toy.run()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seeds", "0"], "--seeds must lie in 1 to 1000, not 0"),
        (["--seeds", "1000000000"], "--seeds must lie in 1 to 1000"),
        (["--full", "nowhere"], "--full nowhere: there is no such folder"),
        (["--out", __file__], "is no folder, and cannot be made"),
        (["--out", f"{__file__}/below"], "is no folder, and cannot be made"),
    ],
)
def test_options_that_cannot_be_used(toy, arguments, message):
    with pytest.raises(SettingError, match=message):
        toy.run(*arguments)


# what results depend on


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """tree(name=source, ...) writes the files of a program and of what it imports -> the fingerprint."""
    monkeypatch.setattr(source, "FOLDER", tmp_path)
    files = {
        "program": '"""Doc."""\nfrom common.one import f\ndef measure(run):\n    return f()\ndef draw(): pass\n',
        "one": "from . import style\nfrom .two import g\nf = g\n",
        "two": "def g(): return 1\n",
        "style": "A = 1\n",
        "other": "B = 1\n",
    }

    def write(**changed):
        for name, text in (files | changed).items():
            (tmp_path / f"{name}.py").write_text(text)
        return source.fingerprint(tmp_path / "program.py")

    write.files = files
    return write


@pytest.mark.parametrize("name, old, new", [("program", "f()", "f(2)"), ("one", "= g", "= 3"), ("two", "1", "2")])
def test_another_source_gets_other_results(tree, name, old, new):
    assert tree() != tree(**{name: tree.files[name].replace(old, new)})


@pytest.mark.parametrize(
    "name, old, new",
    [("program", "Doc", "Text"), ("program", "pass", "1"), ("two", "\n", "  # why\n"), ("style", "1", "2"),
     ("other", "1", "2")],
)  # fmt: skip
def test_words_and_figures_change_no_results(tree, name, old, new):
    assert tree() == tree(**{name: tree.files[name].replace(old, new)})


# the series


@pytest.fixture
def series(toy, monkeypatch):
    """The program that runs them all, with the toy in every program's place."""
    monkeypatch.syspath_prepend(str(LECTURES))
    spec = importlib.util.spec_from_file_location("series", LECTURES / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "load", lambda name: SimpleNamespace(LECTURE=toy.lecture()))
    return lambda *arguments: module.main(["--out", str(toy.out), *arguments])


@pytest.mark.parametrize("error", [IndexError("a fault"), SettingError("too few"), MemoryError()])
def test_a_program_that_fails_ends_no_other(toy, series, error, capsys):
    toy.each = fail_at(1, error)
    assert series("1", "2") == 1
    assert toy.calls == [0, 1, 1]
    told = capsys.readouterr()
    assert "0 of 2 programs" in told.out and "error: failed: 01_history, 02_shapes" in told.err


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_series(toy, series, number, code):
    toy.each = lambda seed: seed and os.kill(os.getpid(), number)
    assert series("1", "2") == code
    assert toy.calls == [0, 1]
    assert json.loads((toy.out / "50_toy.unfinished.json").read_text())["kept"] == {"seed 0": 0}


def test_options_are_checked_before_the_first_program(toy, series):
    for arguments in (["--seeds", "0"], ["nosuch"], ["--full", "nowhere"]):
        with pytest.raises(SettingError, match=arguments[-1]):
            series(*arguments)


# what is kept in docs


@pytest.fixture
def docs(toy, tmp_path, monkeypatch):
    """keep("50_toy"), into folders of its own."""
    kept, page = tmp_path / "docs" / "lectures", tmp_path / "docs" / "lectures.md"
    page.parent.mkdir()
    page.write_text("Before.\n" + index.BEGIN + index.END + "After.\n")
    for name, value in {"KEPT": kept, "PAGE": page, "FOLDER": tmp_path, "NAMES": ["50_toy", "51_other"]}.items():
        monkeypatch.setattr(index, name, value)
    monkeypatch.setattr(index, "load", lambda name: SimpleNamespace(LECTURE=toy.lecture(), __doc__=DOC))
    return SimpleNamespace(keep=lambda: index.keep(toy.out, ["50_toy"]), kept=kept, page=page)


@pytest.mark.parametrize("arguments", [None, ["--quick"], ["--seeds", "1"]])
def test_only_default_results_are_kept(toy, docs, arguments):
    if arguments is not None:
        toy.run(*arguments)
    with pytest.raises(SettingError, match="no default results of 50_toy as it now is"):
        docs.keep()
    assert not docs.kept.exists()


def test_results_of_an_older_program_are_not_kept(toy, docs):
    toy.run()
    toy.file.write_text(toy.file.read_text() + "A = 1\n")
    with pytest.raises(SettingError, match="no default results of 50_toy as it now is"):
        docs.keep()


def test_some_results_can_be_kept(toy, docs):
    toy.run()
    docs.keep()
    assert "Measured   6 in all.\n" in toy.file.read_text()
    assert "### 50. A toy\n" in docs.page.read_text() and docs.page.read_text().endswith("After.\n")
    assert {path.name for path in docs.kept.iterdir()} == {"50_toy.json", "50_toy.png"}
    docs.keep()  # the new sentence in the docstring makes no other program of it
