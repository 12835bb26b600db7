"""examples/first_steps.py as it stands, on a third of its pictures."""

import re
import runpy

import numpy as np
from paths import EXAMPLES

import minicnn
import minicnn.data

PROGRAM = EXAMPLES / "first_steps.py"


def test_it_learns_and_leaves_a_file(tmp_path, monkeypatch, capsys):
    draw = minicnn.data.draw_sample
    monkeypatch.setattr("minicnn.data.draw_sample", lambda: draw(tmp_path, train_per_class=50, val_per_class=20))
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(PROGRAM))
    lines = capsys.readouterr().out.splitlines()
    right = [float(re.fullmatch(r"epoch \d: loss \d\.\d{3}, (.*) % of new pictures right", line)[1]) for line in lines]
    assert len(right) == 6 and right[-1] >= 85  # chance: 10
    saved, state = minicnn.load(tmp_path / "first_steps.npz"), names["model"].state_dict()
    assert saved.keys() == state.keys()
    assert all(np.array_equal(np.asarray(saved[name]), state[name].numpy()) for name in state)


def test_it_is_short():
    assert len(PROGRAM.read_text().splitlines()) <= 40
