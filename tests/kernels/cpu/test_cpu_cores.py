"""Which cores a process has, and for how much of the time."""

import os

import pytest

from minicnn.kernels.cpu.machine import cores


@pytest.mark.parametrize(
    "group, files, expected",
    [
        ("/", {}, float("inf")),
        ("/", {"cpu.max": "max 100000"}, float("inf")),
        ("/", {"cpu.max": "150000 100000"}, 1.5),
        ("/a/b", {"a/b/cpu.max": "300000 100000"}, 3),
        ("/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000", "c/cpu.max": "10000 100000"}, 0.5),
        ("/a/b", {"a/b/cpu.max": "150000 100000", "a/cpu.max": "400000 100000"}, 1.5),
        ("/a", {"a/cpu.max": "", "cpu.max": "many 100000"}, float("inf")),
        ("/a", {"a/cpu.max": "100000 0", "cpu.max": "100000 100000"}, 1),
        ("/a", {"a/cpu.max": "100000"}, float("inf")),
        (None, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, float("inf")),
        (None, {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
    ],
    ids=[
        "no limit",
        "none in a container",
        "that of a container",
        "that of the own group",
        "a group above has less",
        "a group above has more",
        "words that nobody knows",
        "no time at all in a period",
        "half a limit",
        "version 1, none",
        "version 1",
    ],
)
def test_a_groups_share_of_the_cores(group, files, expected, tmp_path):
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text + "\n")
    (tmp_path / "own").write_text("1:name=systemd:/x\n" + (f"0::{group}\n" if group else ""))
    assert cores.quota(tmp_path, tmp_path / "own") == expected


def test_the_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5, 2}, raising=False)
    assert cores.usable() == [2, 5]
    monkeypatch.setattr(os, "sched_getaffinity", _refused)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable() == [0]
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert cores.usable() == [0, 1, 2]


def test_files_that_cannot_be_read_are_no_limit(tmp_path):
    (tmp_path / "own").write_bytes(b"0::/\xff\xfe\n")
    (tmp_path / "cpu.max").mkdir()
    assert cores.quota(tmp_path, tmp_path / "own") == float("inf")
    assert cores.quota(tmp_path / "nothing", tmp_path / "nothing") == float("inf")


def _refused(process):
    raise PermissionError(1, "Operation not permitted")
