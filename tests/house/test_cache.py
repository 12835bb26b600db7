"""Where files are kept, and what is said when they cannot be."""

from pathlib import Path

import platformdirs
import pytest
from checks import raises
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from minicnn import pretrained
from minicnn.cache import CacheError, cache_dir, keeping_in
from minicnn.data import draw_sample
from minicnn.pretrained import WeightsError
from minicnn.train import exit_code


@pytest.fixture
def homeless(monkeypatch):
    """No HOME, and a user that the system does not know: a container started with a number."""

    def unknown(number):
        raise KeyError(number)

    monkeypatch.setattr(pytest.importorskip("pwd"), "getpwuid", unknown)  # Windows has none, and knows its users
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "MINICNN_CACHE"):
        monkeypatch.delenv(name, raising=False)


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", "/elsewhere")
    assert cache_dir() == Path("/elsewhere")
    monkeypatch.setenv("MINICNN_CACHE", "~/elsewhere")
    assert cache_dir() == Path.home() / "elsewhere"
    for empty in (False, True):
        monkeypatch.setenv("MINICNN_CACHE", "") if empty else monkeypatch.delenv("MINICNN_CACHE")
        monkeypatch.setattr(platformdirs, "PlatformDirs", Unix)
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
        assert cache_dir() == Path("/xdg/minicnn")
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert cache_dir() == Path.home() / ".cache" / "minicnn"
        monkeypatch.setattr(platformdirs, "PlatformDirs", Windows)
        monkeypatch.setattr("platformdirs.windows.get_win_folder", {"CSIDL_LOCAL_APPDATA": "/local"}.get)
        assert cache_dir() == Path("/local/minicnn")


def test_without_a_home_the_variable_is_named(homeless, capsys, monkeypatch, tmp_path):
    with raises(CacheError, "no home folder", "MINICNN_CACHE"):
        cache_dir()
    with raises(WeightsError, "no home folder", "MINICNN_CACHE"):
        pretrained.fetch("https://localhost/resnet18-f37072fd.pth")
    assert exit_code(draw_sample) == 2
    assert capsys.readouterr().err.startswith("error: there is no home folder")
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


def test_a_folder_that_takes_nothing(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "file" / "cache"))
    assert exit_code(draw_sample) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error and "MINICNN_CACHE" in error and error.count("\n") == 1


def test_what_the_system_says_is_kept():
    with raises(CacheError, "/a", "No space left on device", "MINICNN_CACHE"), keeping_in("/a"):
        raise OSError(28, "No space left on device")
    with raises(CacheError, "in its own words"), keeping_in("/a"):
        raise CacheError("in its own words")
