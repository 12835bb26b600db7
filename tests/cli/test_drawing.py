"""What the first start of a program without DIR says: that it draws, and how far it is; a later one says nothing."""

from minicnn import data
from minicnn.cli import pictures


def test_the_first_start_says_that_it_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "draw_sample", lambda watch, real=data.draw_sample: real(None, 0, 60, 1, watch=watch))
    args = type("Arguments", (), {"dummy": False, "dir": None, "val_fraction": 0.1, "seed": 0})
    train, val = pictures.open_pictures(args)
    assert (len(train), len(val)) == (600, 10)
    first, *more = capsys.readouterr().out.splitlines()
    assert first == f"drawing 610 sample pictures, once, into {tmp_path / 'cache'}"
    assert [line.split("  ")[:2] for line in more] == [["drawing", "500/610"]] and more[0].endswith(" left")
    pictures.open_pictures(args)
    assert capsys.readouterr() == ("", "")
