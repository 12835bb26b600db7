"""MINICNN_SYNC=1: a kernel that the GPU gives up is named, in either language; without it, the error says so."""

import sys
from pathlib import Path

import fake_cupy
import numpy as np
import pytest
from checks import PYTHON_GPU, raises

from minicnn.device import KernelError, to_device
from minicnn.envvars import EnvVarError
from minicnn.kernels import faults
from minicnn.kernels.cuda import launch as cuda_launch
from minicnn.kernels.cuda.launch import Kernel

with PYTHON_GPU.active():
    from minicnn.kernels.numba_cuda import launch as numba_launch
    from minicnn.kernels.numba_cuda.launch import T, kernel

pytestmark = pytest.mark.emulator
FILE = Path(__file__).parent / "cuda" / "kernels_of_types.cu"
FAULT = "cudaErrorIllegalAddress: an illegal memory access was encountered"


@kernel
def of_numba(x: T[:]):
    x[0] = 0


class CudaAPIError(Exception):
    """Numba's."""


@pytest.fixture
def sync(monkeypatch):
    """Called with a value, sets the variable to it."""

    def choose(value):
        monkeypatch.setenv("MINICNN_SYNC", value)
        faults.sync_wanted.cache_clear()

    choose("0")
    yield choose
    faults.sync_wanted.cache_clear()


@pytest.fixture(params=["CUDA C++", "Numba"])
def launched(request, monkeypatch):
    """launched(cupy, error) launches a kernel of that language, which raises `error`, or nothing if None."""

    def compiled(error):
        def call(*_, **__):
            if error:
                raise error

        return call

    def cuda(cupy, error=None):
        monkeypatch.setattr(cuda_launch, "_gpu_kernel", lambda path, name: compiled(error))
        x = cupy.ndarray(np.ones(4, np.float32))
        Kernel(FILE, "scale_vectors")[1, 4](x, x, 1.0, None, 4)

    def numba(cupy, error=None):
        monkeypatch.setattr(numba_launch, "SIMULATED", False)
        monkeypatch.setattr(numba_launch, "_stream", lambda address: None)
        monkeypatch.setattr(of_numba, "plans", {})
        monkeypatch.setattr(of_numba, "compiled", Sized(compiled(error)))
        of_numba[1, 4](cupy.ndarray(np.ones(4, np.float32)))

    chosen = cuda if request.param == "CUDA C++" else numba
    chosen.kernel = "scale_vectors (kernels_of_types.cu)" if chosen is cuda else "of_numba (test_faults.py)"
    chosen.error = fake_cupy.CUDADriverError if chosen is cuda else CudaAPIError
    return chosen


class Sized:
    """What Numba has compiled."""

    def __init__(self, call):
        self.call = call

    def __getitem__(self, sizes):
        return self.call


def test_each_launch_is_waited_for_and_a_fault_is_named(sync, launched):
    sync("1")
    with fake_cupy.installed(faults=[None, FAULT]) as cupy:
        launched(cupy)
        assert cupy.waited == 1
        with raises(KernelError, launched.kernel, "failed on the GPU", FAULT, "MINICNN_EMULATE_GPU=1"):
            launched(cupy)


def test_nobody_waits_without_the_variable(sync, launched):
    with fake_cupy.installed(faults=[FAULT]) as cupy:
        launched(cupy)
        assert cupy.waited == 0


def test_nobody_waits_while_a_graph_is_captured(sync, launched):
    sync("1")
    with fake_cupy.installed(faults=[FAULT]) as cupy:
        cupy.cuda.get_current_stream().is_capturing = lambda: True
        launched(cupy)
        assert cupy.waited == 0


def test_a_fault_that_surfaces_at_a_later_launch(sync, launched):
    with fake_cupy.installed() as cupy, raises(KernelError, launched.kernel, "kernel before", "MINICNN_SYNC=1", FAULT):
        launched(cupy, launched.error(FAULT))


def test_other_errors_stay_what_they_are(sync, launched):
    with fake_cupy.installed() as cupy, pytest.raises(RecursionError, match="of another kind"):
        launched(cupy, RecursionError("of another kind"))


def test_a_fault_that_surfaces_at_a_copy(monkeypatch):
    with fake_cupy.installed() as cupy:

        def asnumpy(array):
            raise fake_cupy.CUDARuntimeError(FAULT)

        cupy.asnumpy = asnumpy
        monkeypatch.setattr(sys.modules["minicnn.device"], "_cupy", lambda: cupy)
        with raises(KernelError, "copied", FAULT, "MINICNN_SYNC=1"):
            to_device(cupy.ndarray(np.ones(4, np.float32)), "cpu")


def test_a_value_that_is_neither_on_nor_off(sync):
    sync("often")
    with raises(EnvVarError, "MINICNN_SYNC", "often"):
        faults.sync_wanted()
