"""Compiled code on disk: in a folder of one's own, and run again only as it was written."""

import os
import stat
import time

import pytest
from checks import raises

from minicnn.cache import CacheError
from minicnn.kernels import compiled

unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes, and makes a user's folders private itself")


@unix
def test_a_folder_is_made_for_its_user_alone(tmp_path):
    before = os.umask(0)
    try:
        folder = compiled.private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]
    assert compiled.private_folder(folder) == folder


@unix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(mode, tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with raises(CacheError, str(folder), f"mode {mode:o}", "MINICNN_CACHE"):
        compiled.private_folder(folder)


@unix
def test_a_folder_below_one_that_others_may_write_to(tmp_path):
    """They can rename it and put their own there, unless the folder above is sticky."""
    above = tmp_path / "above"
    folder = above / "a" / "own"
    compiled.private_folder(folder)
    above.chmod(0o777)
    with raises(CacheError, f"{above} can be written by others"):
        compiled.private_folder(folder)
    above.chmod(0o1777)
    assert compiled.private_folder(folder) == folder


@unix
def test_a_folder_of_another_user(tmp_path, monkeypatch):
    folder = compiled.private_folder(tmp_path / "theirs" / "folder")
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    else:  # then it is this process that is somebody else
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with raises(CacheError, "belongs to another user", "MINICNN_CACHE"):
        compiled.private_folder(folder)


@unix
def test_the_group_that_a_user_has_alone(tmp_path):
    """Where each user has a group of the same number, folders are often writable by it."""
    status = os.stat(tmp_path)
    for group, expected in ((1000, None), (100, "written by others")):
        values = list(status)
        values[stat.ST_MODE], values[stat.ST_UID], values[stat.ST_GID] = 0o40775, 1000, group
        reason = compiled._open_to_others(os.stat_result(values), {1000, 0}, strict=False)
        assert (expected in reason) if expected else reason is None


@unix
def test_a_link_is_followed_before_anything_is_looked_at(tmp_path):
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open")
    with raises(CacheError, str(tmp_path / "open")):
        compiled.private_folder(tmp_path / "link")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with raises(CacheError, str(tmp_path / "file" / "folder"), "MINICNN_CACHE"):
        compiled.private_folder(tmp_path / "file" / "folder")


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "kept"
    assert compiled.read(path) is None
    compiled.write(path, b"one")
    compiled.write(path, b"two")
    assert bytes(compiled.read(path)) == b"two"
    assert [file.name for file in tmp_path.iterdir()] == ["kept"]


def test_every_damage_is_noticed(tmp_path):
    path = tmp_path / "kept"
    compiled.write(path, b"some machine code")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert compiled.read(path) is None
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert compiled.read(path) is None
    path.write_bytes(whole)
    assert compiled.read(path) is not None


def test_the_file_of_another_name_is_not_taken(tmp_path):
    compiled.write(tmp_path / "one", b"code")
    (tmp_path / "one").rename(tmp_path / "other")
    assert compiled.read(tmp_path / "other") is None


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    compiled.write(path, b"old")
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "replace", _full)
        compiled.write(path, b"new")
    assert bytes(compiled.read(path)) == b"old" and len(list(tmp_path.iterdir())) == 1


def _full(*args):
    raise OSError(28, "No space left on device")


def test_what_nobody_uses_is_removed(tmp_path):
    long_ago = time.time() - compiled.UNUSED - 60
    for name in ("old", "used", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "old file").touch()
    for path in (tmp_path / "old", tmp_path / "used", tmp_path / "old file"):
        os.utime(path, (long_ago, long_ago))
    compiled.used(tmp_path / "used")
    compiled.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "used"]


def test_compiling_is_announced_once_and_each_part_of_it_beside_the_progress(capsys, monkeypatch):
    remarks = []
    monkeypatch.setattr(compiled, "remark", remarks.append)
    announce = compiled.Announcement()
    for name in ("_conv", "pool.cu"):
        announce("compiling something", name)
    assert capsys.readouterr() == ("", "minicnn: compiling something\n")
    assert remarks == ["compiling conv", "compiling pool.cu"]
