"""Files: the old one or the new one whatever fails, truthfully told; no waiting for pipes; folders that cannot sync."""

import errno
import os
import stat

import numpy as np
import pytest

from minicnn.storage.files import NotLastingError, atomic_write, open_regular, write_json
from minicnn.train import CheckpointError, load_checkpoint, save_checkpoint

REFUSALS = ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]


def refuse(monkeypatch, code, folders):
    """fsync of folders, or of files, fails with this code."""
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
            raise OSError(code, os.strerror(code))
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("code", [*REFUSALS, "EACCES", "EPERM", "EBADF", "EISDIR"])
def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch, code):
    refuse(monkeypatch, getattr(errno, code), folders=True)
    save_checkpoint(tmp_path / "c.npz", {"a": np.ones(3)})
    write_json(tmp_path / "a.json", 1)
    assert load_checkpoint(tmp_path / "c.npz")["a"].sum() == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "c.npz"]


def test_a_folder_that_cannot_be_read_is_no_error(tmp_path, monkeypatch):
    real = os.open

    def refuse_folders(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse_folders)
    write_json(tmp_path / "a.json", 1)
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.parametrize("code", REFUSALS)
def test_a_file_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch, code):
    refuse(monkeypatch, getattr(errno, code), folders=False)
    write_json(tmp_path / "a.json", 1)
    assert (tmp_path / "a.json").read_text() == "1\n"


@pytest.mark.parametrize("code", ["EIO", "ENOSPC", "EDQUOT", "EACCES"])
def test_a_file_that_fails_to_reach_the_disk_is_an_error(tmp_path, monkeypatch, code):
    save_checkpoint(tmp_path / "c.npz", {"a": 1})
    refuse(monkeypatch, getattr(errno, code), folders=False)
    with pytest.raises(CheckpointError, match="what stood there before is unchanged"):
        save_checkpoint(tmp_path / "c.npz", {"a": 2})
    assert load_checkpoint(tmp_path / "c.npz") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


@pytest.mark.parametrize("code", ["EIO", "ENOSPC", "EDQUOT"])
def test_a_name_that_fails_to_reach_the_disk_is_told_as_such(tmp_path, monkeypatch, code):
    save_checkpoint(tmp_path / "c.npz", {"a": 1})
    refuse(monkeypatch, getattr(errno, code), folders=True)
    with pytest.raises(CheckpointError, match="is written, but the disk cannot say that it will stay") as caught:
        save_checkpoint(tmp_path / "c.npz", {"a": 2})
    assert "unchanged" not in str(caught.value)
    assert load_checkpoint(tmp_path / "c.npz") == {"a": 2}
    with pytest.raises(NotLastingError):
        write_json(tmp_path / "a.json", 1)


def test_the_first_error_is_told_even_if_nothing_can_be_removed(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.unlink", fail)
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, "猫" * 85])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_json(tmp_path / name, 1)
    assert (tmp_path / name).read_text() == "1\n"


@pytest.mark.parametrize("name", ["", ".", "/", ".."])
def test_a_name_that_only_a_folder_can_have(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError), atomic_write(name) as file:
        file.write(b"x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        save_checkpoint(name, {})


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"here")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"here"
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nowhere")
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        before = os.listdir("/dev/fd")
        with pytest.raises(OSError, match="Not a regular file"):
            open_regular(path)
        assert os.listdir("/dev/fd") == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_devices_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a regular file"), atomic_write(tmp_path / "pipe") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match=r"cannot write checkpoint .*: Not a regular file"):
        save_checkpoint(tmp_path / "pipe", {})
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode) and len(list(tmp_path.iterdir())) == 1
