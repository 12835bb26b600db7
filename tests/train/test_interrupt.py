"""Signals: the first one saves and stops, the second stops at once; what answered before answers again."""

import itertools
import os
import shlex
import signal
import subprocess
import sys
import threading

import pytest
from kill_and_resume import repeated_part, resumed, small_trainer
from paths import EXAMPLES
from programs import SMALL

from minicnn.signals import handling
from minicnn.storage.checkpoint import save_checkpoint
from minicnn.train import Interrupted, exit_code, load_checkpoint
from minicnn.train.interrupt import Ended, Interrupt, end
from minicnn.train.trainer import LAST

SIGNALS = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]  # Windows lacks the last
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent to oneself on Windows")


@pytest.fixture(autouse=True)
def every_signal_is_answered():
    """The suite may have been started where some are ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def at_batch(trainer, moment, action):
    """Call action() after so many batches."""
    real, left = trainer.train_batch, [moment]

    def train_batch(batch):
        left[0] -= 1
        if left[0] == 0:
            action()
        return real(batch)

    trainer.train_batch = train_batch


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    small_trainer(folder, epochs=2).fit()
    return repeated_part(folder)


@pytest.mark.parametrize(("name", "moment"), [("SIGINT", 1), ("SIGTERM", 5), ("SIGHUP", 8), ("SIGTERM", 9)])
def test_a_signal_saves_and_the_run_goes_on_to_the_same_end(tmp_path, capsys, undisturbed, name, moment):
    number = getattr(signal, name)
    trainer = small_trainer(tmp_path, epochs=2)
    at_batch(trainer, moment, lambda: send(number))
    assert exit_code(trainer.fit) == 128 + number
    said = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(said.partition("to go on: ")[2]) == ["python", sys.argv[0], "--resume", str(tmp_path / LAST)]
    assert load_checkpoint(tmp_path / LAST)["position"]["batch"] == (moment - 1) % 8 + 1
    resumed(small_trainer(tmp_path, epochs=2)).fit()
    assert repeated_part(tmp_path) == undisturbed


def test_a_signal_while_a_checkpoint_is_written_leaves_it_whole(tmp_path, monkeypatch):
    sent = []

    def save(path, state):
        save_checkpoint(path, state)
        if not sent:
            sent.append(send(signal.SIGTERM))
            load_checkpoint(path)

    def fsync(descriptor, real=os.fsync):
        if not sent:
            sent.append(send(signal.SIGTERM))
        return real(descriptor)

    for target, function in (("minicnn.train.folder.save_checkpoint", save), ("os.fsync", fsync)):
        sent.clear()
        trainer = small_trainer(tmp_path, epochs=2)
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(target, function)
            trainer.fit()
        resumed(small_trainer(tmp_path, epochs=1)).fit()
        assert not list(tmp_path.glob(".*"))


def test_a_signal_within_validation(tmp_path):
    trainer = small_trainer(tmp_path, epochs=2)
    validate = trainer.validate
    trainer.validate = lambda: (send(signal.SIGTERM), validate())[1]
    with pytest.raises(Interrupted) as caught:
        trainer.fit()
    assert caught.value.signal == signal.SIGTERM and load_checkpoint(tmp_path / LAST)["position"]["batch"] == 8


@pytest.mark.parametrize(("first", "second"), [*itertools.pairwise(SIGNALS), (SIGNALS[-1], SIGNALS[0])])
def test_the_second_signal_ends_at_once(tmp_path, first, second):
    trainer = small_trainer(tmp_path)
    trainer.checkpoint_every = 0
    at_batch(trainer, 2, lambda: (send(first), send(second)))
    assert exit_code(trainer.fit) == 128 + second
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_training_ends_at_once(capsys, number):
    assert exit_code(send, number) == 128 + number
    assert not any(capsys.readouterr())


def test_an_ignored_signal_stays_ignored(tmp_path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trainer = small_trainer(tmp_path, epochs=1)
    at_batch(trainer, 2, lambda: (send(signal.SIGINT), send(signal.SIGINT)))
    assert exit_code(trainer.fit) == 0
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_only_a_number_is_an_exit_code():
    """A function that returns something else, a path say, has done what it should."""
    assert [exit_code(lambda value=value: value) for value in (None, 0, 3, "runs/1", [])] == [0, 0, 3, 0, 0]


def test_what_answered_before_answers_again():
    seen = []
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: seen.append(number))
    with handling(end):
        with Interrupt() as outer:
            with Interrupt() as inner:
                send(signal.SIGTERM)
            assert inner.requested and not outer.requested
            send(signal.SIGHUP)
        assert outer.signal == signal.SIGHUP
        with pytest.raises(Ended):
            send(signal.SIGTERM)
    for number in SIGNALS:
        send(number)
    assert seen == SIGNALS


def test_it_works_outside_the_main_thread(tmp_path):
    found, before = [], [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=lambda: found.append(exit_code(small_trainer(tmp_path, epochs=1).fit)))
    thread.start()
    thread.join()
    assert found == [0] and [signal.getsignal(number) for number in SIGNALS] == before


def test_the_line_to_go_on_with_can_be_pasted(pictures, tmp_path, monkeypatch):
    """It is given to a shell, in which `python` is this one."""
    monkeypatch.chdir(tmp_path)
    name = "-it's;&$HOME"
    words = [EXAMPLES / "alexnet_imagenet.py", pictures, *f"{SMALL} -b 1 --epochs 2".split(), f"--output-dir={name}"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, *map(str, words)], **piped)
    next(line for line in process.stdout if line.startswith("epoch 1/2  1/8"))
    process.terminate()
    out, err = process.communicate()
    assert process.returncode == 143 and "stopping after this batch" in err, err
    line = out.splitlines()[-1].partition("to go on: ")[2]
    done = subprocess.run(f'python() {{ "{sys.executable}" "$@"; }}; {line}', shell=True, **piped)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name / "summary.json").exists()
