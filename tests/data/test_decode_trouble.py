"""Decoding where the machine is at fault, not the picture: no waiting, and no picture is called unreadable for it."""

import errno
import os
import socket
import threading

import pytest
from pictures import picture

from minicnn.data import BadImage, DataError
from minicnn.data import decode as page
from minicnn.data.decode import decoding, load_image

# --- not a regular file, also if it is exchanged while one looks ---

posix = pytest.mark.skipif(os.name == "nt", reason="FIFOs, devices and sockets are Windows' own")


def within_seconds(function):
    """What a call returns or raises; a failure if it hangs."""
    outcome = []

    def call():
        try:
            outcome.append(function())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(10)
    assert outcome, "it hangs"
    return outcome[0]


@posix
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket", "link in a circle"])
@pytest.mark.parametrize("exchanged", [False, True], ids=["listed so", "exchanged after a look"])
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path, monkeypatch, kind, exchanged):
    path = tmp_path / "a.jpg"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # the names of sockets are short
        server = socket.socket(socket.AF_UNIX)
        server.bind("a.jpg")
        server.close()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "a.jpg")
    if exchanged:  # while it was looked at, it was an ordinary file
        status = os.stat(picture(tmp_path / "ordinary.png"))
        monkeypatch.setattr(os, "stat", lambda *args, **more: status)
    error = within_seconds(lambda: load_image(path))
    assert isinstance(error, BadImage), repr(error)
    assert ("regular" in error.reason) or (kind in ("link in a circle", "socket", "folder")), error.reason


# --- trouble of the machine ---


@pytest.mark.parametrize(
    "code", ["EMFILE", "ENFILE", "EACCES", "EPERM", "EIO", "ENOMEM", "ESTALE", "ETIMEDOUT", "ENODEV", "ENOTCONN"]
)
@pytest.mark.parametrize("moment", ["stat", "open"])
def test_trouble_of_the_machine_is_no_unreadable_picture(tmp_path, monkeypatch, code, moment):
    path, number = picture(tmp_path / "a.png"), getattr(errno, code)

    def fails(*args, **more):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, moment, fails)
    with pytest.raises(DataError) as caught:
        load_image(path)
    assert not isinstance(caught.value, BadImage)
    assert str(caught.value).startswith(f"{path}: {os.strerror(number)}; ")


def test_trouble_while_reading(tmp_path, monkeypatch):
    path = picture(tmp_path / "a.png")

    class Failing:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.file.close()

        def fileno(self):
            return self.file.fileno()

        def read(self, size):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def failing(*args, **more):
        return Failing(open(*args, **more))

    monkeypatch.setattr(page, "open", failing, raising=False)
    with pytest.raises(DataError, match=r"a.png: .*; the disk or its connection fails") as caught:
        load_image(path)
    assert not isinstance(caught.value, BadImage)


def test_no_memory_is_no_unreadable_picture(tmp_path, monkeypatch):
    def no_memory(*args):
        raise MemoryError

    path = picture(tmp_path / "a.png")
    monkeypatch.setattr(page, "_to_rgb", no_memory)
    with pytest.raises(DataError, match=r"a.png: there is no memory left") as caught:
        load_image(path)
    assert not isinstance(caught.value, BadImage)


def test_a_folder_that_has_disappeared_is_no_unreadable_picture(tmp_path):
    with pytest.raises(DataError, match=r"a.png: .*its folder has disappeared") as caught:
        load_image(tmp_path / "unmounted" / "a.png")
    assert not isinstance(caught.value, BadImage)


def test_a_missing_file_of_the_folder_one_is_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadImage, match=r"gone.jpg: FileNotFoundError"):
        load_image("gone.jpg")


def test_a_name_that_no_system_takes():
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(BadImage):
            load_image(name)


def test_a_decoder_may_meet_trouble_too():
    with pytest.raises(BadImage, match="picture 7: OSError: image file is truncated"), decoding("picture 7"):
        raise OSError("image file is truncated")
    with (
        pytest.raises(DataError, match="picture 7: Too many open files; fewer --workers") as caught,
        decoding("picture 7"),
    ):
        raise OSError(errno.EMFILE, "Too many open files")
    assert not isinstance(caught.value, BadImage)
    with pytest.raises(BadImage, match=r"\(7, 8\): FileNotFoundError"), decoding((7, 8)):  # no path, but what is read
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", os.path.join(os.getcwd(), "gone.jpg"))
