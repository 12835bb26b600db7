"""``pytest --gpu``: what it runs, what it skips, and what it says where there is no GPU."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import real_gpu
from checks import raises

TESTS = Path(__file__).parents[1]
CUPY = """
class cuda:
    class runtime:
        CUDARuntimeError = OSError

        @staticmethod
        def getDeviceCount():
            if NO_GPU:
                raise OSError("cudaErrorInsufficientDriver: the driver is too old")
            return 1

def asarray(array):
    raise OSError("this CuPy has no memory")
"""


def pytest_gpu(tmp_path, *words, no_gpu=False):
    """pytest --gpu of a few files, with a CuPy that knows of a GPU and can do nothing else."""
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(f"__version__, NO_GPU = '14.0', {no_gpu}\n{CUPY}")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    files = (
        "ops/test_softmax.py",
        "engine/test_emulated_training.py",
        "data/test_loader.py",
        "kernels/test_updates.py",
    )
    command = [sys.executable, "-m", "pytest", "--gpu", "-p", "no:cacheprovider", *words]
    environment = {**os.environ, "MINICNN_EMULATE_GPU": "0", "PYTHONPATH": path}
    command += [str(TESTS / file) for file in files]
    return subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True, timeout=120)


def test_it_runs_device_cuda_alone(tmp_path):
    done = pytest_gpu(tmp_path, "--collect-only", "-q")
    assert done.returncode == 0, done.stdout + done.stderr
    collected = [line for line in done.stdout.splitlines() if "::" in line]
    assert any("test_softmax.py" in line and "cuda-fast" in line for line in collected)
    assert any("test_softmax.py" in line and "cuda-plain" in line for line in collected)
    assert any("test_two_steps_are_the_processors" in line for line in collected)
    assert not any("cpu" in line.partition("[")[2] or "test_loader.py" in line for line in collected)
    assert "deselected" in done.stdout


def test_what_cannot_run_on_a_real_gpu_gives_its_reason(tmp_path):
    done = pytest_gpu(tmp_path, "-q", "-m", "", "-k", "does_not_wait or of_numbas_kernels")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 skipped" in done.stdout
    assert "2 because it looks at what the emulated GPU reports, and this one is real" in done.stdout
    assert "2 because Numba's kernels cannot run here: OSError: this CuPy has no memory" in done.stdout


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    done = pytest_gpu(tmp_path, no_gpu=True)
    assert done.returncode == 4 and len(done.stderr.strip().splitlines()) == 1 and "::" not in done.stdout
    assert "--gpu: device 'cuda': CuPy finds no GPU, no driver, or a driver too old for CuPy 14.0" in done.stderr


def test_an_emulated_gpu_is_not_taken_for_one(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    monkeypatch.setattr(real_gpu, "_chosen", real_gpu.chosen())  # put back afterwards
    with raises(pytest.UsageError, "--gpu", "MINICNN_EMULATE_GPU is set; unset it"):
        real_gpu.choose(SimpleNamespace(getoption=lambda name: True))


class Item:
    """A test with these markers."""

    def __init__(self, *markers):
        self.markers = markers

    def get_closest_marker(self, name):
        return SimpleNamespace(args=()) if name in self.markers else None


def test_untried_kernels_come_last():
    """A fault in one would end the GPU's other tests."""
    items = [Item("gpu", "untried"), Item("gpu"), Item("gpu", "untried"), Item("gpu")]
    order, config = list(items), SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: None))
    real_gpu.select(config, items)
    assert items == [order[1], order[3], order[0], order[2]]
