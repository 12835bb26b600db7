"""A run that is killed at any moment and resumed ends in the same bytes as one that is left alone."""

import os

import pytest
from kill_and_resume import kill_and_resume, repeated_part, resumed, small_trainer

from minicnn.train.log import Log

EPOCHS = 3


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it happens."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    small_trainer(folder, epochs=EPOCHS).fit()
    return repeated_part(folder)


def run_until(folder, moment, monkeypatch):
    """Train; die at the `moment`-th time that a file is about to appear, has appeared, or a row has been logged."""
    left = [moment]

    def count_down():
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def dying(real):
        def function(*args):
            count_down()
            real(*args)
            count_down()

        return function

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(Log, "add", dying(Log.add))
        resumed(small_trainer(folder, epochs=EPOCHS)).fit()


@pytest.mark.slow
def test_dying_around_every_write(tmp_path, undisturbed, monkeypatch):
    for moment in range(1, 100):
        folder = tmp_path / str(moment)
        folder.mkdir()
        try:
            run_until(folder, moment, monkeypatch)
        except Killed:
            resumed(small_trainer(folder, epochs=EPOCHS)).fit()
            assert repeated_part(folder) == undisturbed, f"killed at write {moment}"
        else:
            break
    assert moment > 20, "the run has more places than this to die at"


def test_dying_again_and_again(tmp_path, undisturbed, monkeypatch):
    for moment in (4, 7, 2, 9, 3, 6):
        with pytest.raises(Killed):
            run_until(tmp_path, moment, monkeypatch)
    resumed(small_trainer(tmp_path, epochs=EPOCHS)).fit()
    assert repeated_part(tmp_path) == undisturbed


def test_kill_minus_nine():
    kill_and_resume(kills=4, seed=1)
