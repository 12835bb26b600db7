"""Where files are kept, and what is said when they cannot be."""

import sys
from pathlib import Path

import pytest
from checks import raises

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


@pytest.mark.parametrize("chosen", [None, ""])
@pytest.mark.parametrize(
    "system, variable, usual",
    [
        ("linux", "XDG_CACHE_HOME", ".cache"),
        ("win32", "LOCALAPPDATA", "AppData/Local"),
        ("darwin", None, "Library/Caches"),
    ],
)
def test_the_systems_place_for_caches(monkeypatch, tmp_path, chosen, system, variable, usual):
    monkeypatch.delenv("MINICNN_CACHE", raising=False)
    if chosen is not None:
        monkeypatch.setenv("MINICNN_CACHE", chosen)
    monkeypatch.setattr(sys, "platform", system)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert cache_dir() == (tmp_path / variable if variable else Path.home() / usual) / "minicnn"
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, "relative")
    assert cache_dir() == Path.home() / usual / "minicnn"


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
