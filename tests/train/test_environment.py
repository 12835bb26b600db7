"""What a run says it was made with."""

import subprocess
import sys
from pathlib import Path

import PIL

from minicnn.device import cpu_threads, set_cpu_threads
from minicnn.train.environment import cpu_name, differences, environment, one_thread


def test_the_processor_has_a_name(monkeypatch):
    assert environment()["processor"] == cpu_name() != ""
    monkeypatch.setattr(
        Path, "read_text", lambda path: "processor : 0\nmodel name\t: Fast: 3 GHz\nmodel name\t: other\n"
    )
    assert cpu_name() == "Fast: 3 GHz"
    monkeypatch.setattr(Path, "read_text", lambda path: "processor : 0\n")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert cpu_name() == "riscv64"


def test_it_needs_no_list_of_installed_packages():
    """There is none in a frozen program, or where packages were copied."""
    program = "import importlib.metadata as metadata\nmetadata.Distribution.discover = lambda **_: iter(())\n"
    program += "from minicnn.train.environment import environment\nprint(environment()['pillow'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == PIL.__version__, done.stderr


def test_differences():
    now = environment()
    assert differences(now, now) == ""
    assert differences(now | {"processor": "slow"}, now) == f"processor slow then, {now['processor']} now"


def test_one_thread(monkeypatch):
    monkeypatch.delenv("MINICNN_THREADS", raising=False)
    before = cpu_threads()
    set_cpu_threads(3)
    try:
        with one_thread():
            assert cpu_threads() == 1 and environment()["threads"] == "1"
        assert cpu_threads() == 3
        monkeypatch.setenv("MINICNN_THREADS", "2")  # whoever sets it knows why
        with one_thread():
            assert cpu_threads() == 3
    finally:
        set_cpu_threads(before)
