"""Downloading: once, checked, whole or not at all, from a server in this process."""

import builtins
import contextlib
import errno
import hashlib
import http.server
import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from minicnn.pretrained import WeightsError, fetch
from minicnn.storage import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)
NAME = f"weights-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Server(http.server.ThreadingHTTPServer):
    """Gives `content` under any name; .requests counts, and .trouble says what goes wrong."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.requests, self.trouble = content, 0, ""
        self.url = f"http://127.0.0.1:{self.server_port}/models/"

    def handle_error(self, request, client_address):
        """A client that hangs up is no error here."""


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests += 1
        if server.trouble == "missing":
            return self.send_error(404)
        content = server.content
        self.send_response(200)
        if server.trouble != "no length":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if server.trouble == "silence":
            return server.hang_up.wait(20)
        if server.trouble == "another file":
            content = content[::-1]
        self.wfile.write(content[: len(content) // 2] if server.trouble == "truncated" else content)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(content):
    server = Server(content)
    server.hang_up = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.hang_up.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


@contextlib.contextmanager
def server_and_folder():
    with serving(CONTENT) as server, tempfile.TemporaryDirectory() as folder:
        yield server, Path(folder)


def refused(url, folder, *parts):
    """The message, which says what to do by hand; and nothing new is in the folder."""
    before = sorted(folder.iterdir())
    with pytest.raises(WeightsError) as caught:
        fetch(url, folder)
    message = str(caught.value)
    for part in (f"cannot fetch {url}", "by hand and put it at", str(folder / NAME), "MINICNN_CACHE", *parts):
        assert part in message
    assert sorted(folder.iterdir()) == before
    return message


def test_it_is_fetched_once(server, tmp_path):
    for _ in range(3):
        path = fetch(server.url + NAME, tmp_path / "new" / "folder")
        assert path == tmp_path / "new" / "folder" / NAME
        assert path.read_bytes() == CONTENT
    assert server.requests == 1
    assert list(path.parent.iterdir()) == [path]


def test_the_cache_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    assert fetch(server.url + NAME) == tmp_path / "weights" / NAME


def test_a_server_that_tells_no_length(server, tmp_path):
    server.trouble = "no length"
    assert fetch(server.url + NAME, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "trouble, message",
    [
        ("missing", "404|Not Found"),
        ("truncated", "the connection broke after 1,500,000 of 3,000,000 bytes"),
        ("another file", "another SHA-256"),
        ("silence", "timed out"),
    ],
)
def test_trouble_leaves_nothing(monkeypatch, trouble, message):
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with server_and_folder() as (server, folder):
        server.trouble = trouble
        text = refused(server.url + NAME, folder)
        assert any(part in text for part in message.split("|")), text
        server.trouble = ""
        assert fetch(server.url + NAME, folder).read_bytes() == CONTENT


def test_nobody_there(tmp_path):
    with serving(CONTENT) as server:
        pass
    refused(server.url + NAME, tmp_path, "refused")


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_file_is_fetched_anew(damage):
    content = bytearray(CONTENT)
    content[1000] ^= 1
    damaged = {"flip": content, "truncate": CONTENT[:-1], "empty": b""}[damage]
    with server_and_folder() as (server, folder):
        path = fetch(server.url + NAME, folder)
        path.write_bytes(damaged)
        server.trouble = "missing"
        refused(server.url + NAME, folder)
        assert path.read_bytes() == damaged
        server.trouble = ""
        assert fetch(server.url + NAME, folder).read_bytes() == CONTENT


def test_an_interruption_leaves_nothing(server, tmp_path, monkeypatch):
    class Bar(download.tqdm):
        def update(self, n=1):
            assert len(list(tmp_path.iterdir())) == 1  # under another name
            raise KeyboardInterrupt

    monkeypatch.setattr(download, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        fetch(server.url + NAME, tmp_path)
    assert not list(tmp_path.iterdir())


def test_full_disk(server, tmp_path, monkeypatch):
    real_open = builtins.open

    def full(path, mode="r", *args, **kwargs):
        file = real_open(path, mode, *args, **kwargs)
        return contextlib.closing(FullDisk(file)) if "w" in mode else file

    class FullDisk:
        def __init__(self, file):
            self.close = file.close

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(builtins, "open", full)
    refused(server.url + NAME, tmp_path, "No space left")


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(WeightsError, match=r"cannot fetch .* put it at .*file/folder"):
        fetch(server.url + NAME, tmp_path / "file" / "folder")


def test_several_at_once(server, tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(server.url + NAME, tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / NAME] * 8
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]


@pytest.mark.parametrize("name", ["weights.pth", "weights-0123.pth", "weights-notahex8.pth", ""])
def test_a_name_without_a_checksum(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in the first hex digits of its SHA-256"):
        fetch(f"http://127.0.0.1:9/{name}", tmp_path)
