"""One run to a folder: others are told who has it; a kill frees it; a file system without locks is no obstacle."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from argparse import Namespace

import pytest
from kill_and_resume import resumed, small_trainer
from programs import SMALL, fails

from minicnn.cli.output import output_folder
from minicnn.storage.lock import LOCK, locked
from minicnn.train import SettingError

HOLD = (
    "import sys; from minicnn.storage.lock import locked\n"
    "with locked(sys.argv[1]): print('locked', flush=True); input()"
)


@contextlib.contextmanager
def other_process(folder):
    """One that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def is_free(folder):
    try:
        with locked(folder):
            return True
    except SettingError:
        return False


def test_another_process_is_turned_away_and_told_who_it_is(tmp_path):
    with other_process(tmp_path) as process:
        for folder in (tmp_path, os.path.relpath(tmp_path)):
            with (
                pytest.raises(SettingError, match=rf"another run is using .* \(process {process.pid} on "),
                locked(folder),
            ):
                pass
        process.communicate("\n")
    assert is_free(tmp_path) and not list(tmp_path.iterdir())


def test_a_kill_frees_it(tmp_path):
    with other_process(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK).exists() and is_free(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_same_thread_may_lock_again_and_another_may_not(tmp_path):
    found = []
    (tmp_path / "link").symlink_to(tmp_path)
    with locked(tmp_path):
        for folder in (tmp_path, tmp_path / "link"):
            with locked(folder):
                pass
        thread = threading.Thread(target=lambda: found.append(is_free(tmp_path)))
        thread.start()
        thread.join()
        assert found == [False] and (tmp_path / LOCK).exists()
    assert is_free(tmp_path)


def test_an_error_frees_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    assert is_free(tmp_path) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EBADF"])
def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch, capsys, code):
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def refuse(*args):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    small_trainer(tmp_path, epochs=1).fit()
    assert capsys.readouterr().out.count(f"note: {tmp_path} is on a file system without locks") == 1
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_its_holder_removes_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """Another process may open the file, and lock it only when it has no name any more."""
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")
    real, times = fcntl.flock, []

    def flock(*args):
        times.append(args)
        if len(times) == 1:
            (tmp_path / LOCK).unlink()
        if len(times) == 2:
            (tmp_path / LOCK).unlink()
            (tmp_path / LOCK).write_bytes(b"")  # a third one has begun
        return real(*args)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path):
        assert len(times) == 3
        with open(tmp_path / LOCK) as file, pytest.raises(BlockingIOError):
            real(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(SettingError, match="nothing can be written to the folder"), locked(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SettingError, match=r"nothing can be written to the folder .*No such file"):
        small_trainer(tmp_path / "nowhere").fit()


def test_two_trainers(tmp_path):
    small_trainer(tmp_path, epochs=1).fit()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with other_process(tmp_path):
        (tmp_path / ".x.unfinished").write_bytes(b"what the other one is writing")
        with pytest.raises(SettingError, match="another run is using"):
            resumed(small_trainer(tmp_path)).fit()
        assert (tmp_path / ".x.unfinished").exists()
        assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("what", ["new", "resumed", "resumed elsewhere"])
def test_two_programs(pictures, trained, ours, tmp_path, capsys, what):
    checkpoint = ours / "checkpoint_last.npz"
    folder = ours if what == "resumed" else tmp_path / "new"
    folder.mkdir(exist_ok=True)
    words = (pictures, SMALL) if what == "new" else ("--epochs 3 --resume", checkpoint)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with other_process(folder):
        assert "another run is using" in fails(capsys, *words, "--output-dir", folder)
        assert {path: path.read_bytes() for path in folder.iterdir() if path.name != LOCK} == before


def test_two_runs_begun_at_once_take_two_folders(tmp_path, monkeypatch):
    """Both see that the first name is free, before one of them makes the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    args = Namespace(output_dir=None, resume=None, arch="alexnet", dummy=True)
    with output_folder(args, "sample") as one, output_folder(args, "sample") as other:
        assert [str(one), str(other)] == [os.path.join("runs", f"alexnet-dummy-{number}") for number in (1, 2)]
