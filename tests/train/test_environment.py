"""What a run says it was made with."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import PIL
import pytest

from minicnn.device import cpu_threads, cpu_unit, set_cpu_threads, tier
from minicnn.train import gpu
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


def test_the_unit_that_multiplies_in_the_fast_tier():
    now = environment()
    assert now["unit"] == cpu_unit()
    assert differences(now | {"unit": "abacus"}, now) == f"unit abacus then, {now['unit']} now"
    assert differences({name: text for name, text in now.items() if name != "unit"}, now) == ""  # nobody was told
    with tier("plain"):
        assert "unit" not in environment()


class FakeRuntime:
    @staticmethod
    def getDeviceProperties(number):
        return {"name": b"NVIDIA H200", "major": 9, "minor": 0 if number == 1 else 5}

    @staticmethod
    def driverGetVersion():
        return 13000

    @staticmethod
    def runtimeGetVersion():
        return 12090


@pytest.fixture
def fake_cupy(monkeypatch, tmp_path):
    """CuPy, as far as it is asked, with its current GPU being number 1."""
    monkeypatch.delenv("MINICNN_EMULATE_GPU", raising=False)
    cuda = SimpleNamespace(runtime=FakeRuntime, Device=lambda: SimpleNamespace(id=1))
    cuda.nvrtc = SimpleNamespace(getVersion=lambda: (12, 9))
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__version__="14.2.0", cuda=cuda))
    driver = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.03  Release Build\nGCC version: 12.2.0\n"
    (tmp_path / "version").write_text(driver)
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "version")
    return cuda


def test_a_gpu_is_described_where_the_network_is_on_it(fake_cupy):
    found = environment("cuda")
    assert {key: found[key] for key in gpu.ASKED} == {
        "gpu": "NVIDIA H200, compute capability 9.0",
        "driver": "580.159.03, for CUDA 13.0",
        "cuda": "12.9",
        "cupy": "14.2.0",
        "nvrtc": "12.9",
    }
    assert environment("cpu").keys() == found.keys() - gpu.ASKED.keys()


def test_what_cannot_be_found_out_is_unknown(fake_cupy, monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", Path("/nowhere"))
    del fake_cupy.nvrtc
    fake_cupy.Device = lambda: 1 / 0
    found = environment("cuda")
    assert (found["driver"], found["nvrtc"], found["gpu"]) == ("for CUDA 13.0", "unknown", "unknown")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert {environment("cuda")[key] for key in gpu.ASKED} == {"unknown"}
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    assert {environment("cuda")[key] for key in gpu.ASKED} == {"emulated"}


def test_another_gpu_or_driver_is_a_difference(fake_cupy):
    now = environment("cuda")
    then = now | {"gpu": "NVIDIA T4, compute capability 7.5", "driver": "550.1, for CUDA 12.4"}
    assert re.fullmatch(r"gpu NVIDIA T4.* then, NVIDIA H200.* now; driver 550.1.* now", differences(then, now))
    there = environment("cpu")
    assert differences(there, now) == f"device {there['device']} then, {now['device']} now" != ""
    assert differences(now, there) == f"device {now['device']} then, {there['device']} now"


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
