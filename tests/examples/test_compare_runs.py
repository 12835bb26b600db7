"""examples/compare_runs.py from its command line: which runs are drawn, by which names, and what cannot be."""

import os

import pytest
from paths import EXAMPLES
from programs import load_example

from minicnn.plot import save_comparison

LOG = """epoch,lr,train_loss,train_top1,val_loss,val_top1
1,0.01,2.3,10,2.2,20
2,0.001,1.3,60,1.5,50
"""
compare_runs = load_example(EXAMPLES / "compare_runs.py")


def new_run(folder, log=LOG):
    folder.mkdir(parents=True)
    (folder / "log.csv").write_text(log)
    return folder


def test_the_figure_is_that_of_the_logs(tmp_path, capsys):
    runs = [new_run(tmp_path / "one"), new_run(tmp_path / "two", LOG.replace("60", "70"))]
    compare_runs.main([*map(str, runs), "--out", str(tmp_path / "both.png")])
    assert capsys.readouterr().out == f"drawn: {tmp_path / 'both.png'}\n"
    save_comparison({run.name: run / "log.csv" for run in runs}, tmp_path / "expected.png")
    assert (tmp_path / "both.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_names(tmp_path, monkeypatch):
    """That of the folder; the path as it was given where several folders have that name; each run once."""
    drawn = []
    monkeypatch.setattr(compare_runs.plot, "save_comparison", lambda logs, path: drawn.append(list(logs.items())))
    monkeypatch.chdir(tmp_path)
    for folder in ("a/run", "b/run", "b/other"):
        new_run(tmp_path / folder)
    monkeypatch.chdir(tmp_path / "b" / "other")
    one, two = os.path.join("..", "run"), os.path.join("..", "..", "a", "run")
    compare_runs.main([one, ".", two, one + os.sep, "."])
    (logs,) = drawn
    assert [(name, str(log)) for name, log in logs] == [
        (one, os.path.join(one, "log.csv")),
        ("other", "log.csv"),
        (two, os.path.join(two, "log.csv")),
    ]


def fails(capsys, *words):
    """The last line of the usage error."""
    with pytest.raises(SystemExit) as stop:
        compare_runs.main([str(word) for word in words])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out and captured.err.splitlines()[-1].count("error: ") == 1
    return captured.err.splitlines()[-1]


def test_a_run_that_is_not_there(tmp_path, capsys):
    run = new_run(tmp_path / "one")
    assert f"there is no {tmp_path / 'three' / 'log.csv'}" in fails(capsys, run, tmp_path / "three")


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("", "has no epoch yet"),
        (LOG.splitlines(keepends=True)[0], "has no epoch yet"),
        ("train_top1,val_top1,epoch\n5\n", "is not the log of a run"),
        ("name,price\ntea,3\n", "is not the log of a run"),
        (LOG.replace("val_top1", "accuracy"), "is not the log of a run"),
        (LOG.replace("train_top1", "accuracy"), "is not the log of a run"),
        (LOG.replace("2,0.001", "two,0.001"), "is not the log of a run"),
        (LOG.replace("60", "much"), "is not the log of a run"),
        (LOG + "3,0.01,1,x\n", "is not the log of a run"),
        (b"\xff\xfe\x00\x89PNG\n\x00,\x00\n".decode("latin-1"), "is not the log of a run"),
        ("epoch\n" + "9" * 200_000 + "\n", "is not the log of a run"),  # more than the csv module takes
    ],
)
def test_logs_that_cannot_be_drawn(tmp_path, capsys, log, message):
    good, bad, out = new_run(tmp_path / "good"), new_run(tmp_path / "bad", ""), tmp_path / "c.png"
    (bad / "log.csv").write_bytes(log.encode("latin-1"))
    assert f"{bad / 'log.csv'} {message}" in fails(capsys, good, bad, "--out", out)
    assert not out.exists()


def test_epochs_without_validation_are_drawn(tmp_path):
    """So is a row that was cut short before its accuracies."""
    run = new_run(tmp_path / "run", LOG.replace(",2.2,20", ",,").replace(",1.5,50", ",,") + "3,0.0")
    compare_runs.main([str(run), "--out", str(tmp_path / "c.png")])
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize("out", ["nowhere/c.png", "run"])
def test_a_figure_that_cannot_be_written(tmp_path, capsys, out):
    run = new_run(tmp_path / "run")
    assert f"cannot write {tmp_path / out}" in fails(capsys, run, "--out", tmp_path / out)


def test_runs_and_figures_that_no_path_leads_to(tmp_path, capsys):
    run = new_run(tmp_path / "run")
    assert "cannot write" in fails(capsys, run, "--out", "")
    assert compare_runs.main(["n" * 300]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "too long" in err and err.count("\n") == 1
