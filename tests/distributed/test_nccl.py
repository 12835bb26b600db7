"""NCCL without GPUs: nccl.py between real processes, over emulated arrays; and the stand-in, held against CuPy's own.

tests/distributed/nccl_ranks.py has what each rank does.
"""

import inspect
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import mpi
import nccl_ranks
import numpy as np
import pytest

from minicnn import nn
from minicnn.device import DeviceError
from minicnn.distributed import DataParallel, bfloat16, emulated_cuda, emulated_nccl, nccl
from minicnn.emulated import on_device
from minicnn.errors import SettingError
from minicnn.train.step import Steps, check_steps

CHECKS = [name for name, value in vars(nccl_ranks).items() if getattr(value, "is_check", False)]


@pytest.fixture(scope="module")
def passed():
    """{number of ranks: what each of them printed}; each program runs once for all tests."""
    found = {}

    def run(size):
        if size not in found:
            ended = mpi.run(size, Path(nccl_ranks.__file__), timeout=150, MINICNN_EMULATE_GPU="1")
            found[size] = ended, [re.findall(r"passed (\w+)", out) for out in ended.out]
        return found[size]

    return run


@mpi.skip_without_mpi
@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("check", CHECKS)
def test_between_ranks(passed, check, size):
    ended, names = passed(size)
    assert all(check in own for own in names), str(ended)


# The stand-in has CuPy's signatures

RECORD = Path(__file__).with_name("cupy_signatures.txt")


def recorded():
    """{name: what follows it} of the lines of CuPy's signatures; numbers of its constants."""
    lines = [line for line in RECORD.read_text().splitlines() if not line.startswith("#")]
    return dict(re.fullmatch(r"([\w.]+)(.*)", line).groups() for line in lines)


def parameters(signature):
    """[(name, default)] of "(self, intptr_t sendbuf, NcclConfig config=None)", self apart."""
    inside = re.fullmatch(r"\((.*)\)", signature)[1]
    found = [re.fullmatch(r"(?:[\w.]+ )?(\w+)(?:=(.*))?", part).groups() for part in inside.split(", ") if part]
    return [pair for pair in found if pair[0] != "self"]


def own_parameters(value):
    """The same of the stand-in's function or class."""
    found = inspect.signature(value).parameters.values()
    return [(p.name, None if p.default is p.empty else repr(p.default)) for p in found if p.name != "self"]


def find(name, cuda, nccl):
    """What the name means in modules with the names of cupy.cuda and cupy.cuda.nccl."""
    value = cuda
    for part in name.split("."):
        value = nccl if part == "nccl" else getattr(value, part)
    return value


@pytest.mark.parametrize("name", recorded())
def test_the_stand_in_has_cupys_signatures(name):
    rest, value = recorded()[name], find(name, emulated_cuda, emulated_nccl)
    if rest.startswith("("):
        assert own_parameters(value) == parameters(rest)
    else:
        assert rest == (" a property" if isinstance(value, property) else f" {value}")


def test_the_stand_in_has_nothing_that_is_not_recorded():
    functions = [name for name, value in vars(emulated_nccl).items() if inspect.isfunction(value) and here(value)]
    methods = [name for name in vars(emulated_nccl.NcclCommunicator) if not name.startswith("_")]
    own = {f"nccl.{name}" for name in functions if not name.startswith("_")}
    own |= {f"nccl.{name}" for name in vars(emulated_nccl) if name.startswith("NCCL_")}
    own |= {f"nccl.NcclCommunicator.{name}" for name in methods}
    names = {name for name in recorded() if name.startswith("nccl.")}
    assert own == names - {"nccl.available", "nccl.NcclCommunicator"}


def here(value):
    return value.__module__ == emulated_nccl.__name__


def test_the_record_is_cupys():
    """CuPy imports without a GPU, if NCCL's library is there."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: its signatures are those of the record")
    from cupy.cuda import nccl as cupys

    if not cupys.available:
        pytest.skip("CuPy finds no NCCL: its signatures are those of the record")
    for name, rest in recorded().items():
        assert described(name, find(name, cupy.cuda, cupys)) == f"{name}{rest}"


def described(name, value):
    """A line of the record. Compiled by Cython, CuPy's functions have their signature in the docstring."""
    text = (inspect.getdoc(value) or "").partition("\n")[0]
    last = name.rpartition(".")[2]
    if isinstance(value, (int, bool)):
        return f"{name} {value}"
    if isinstance(value, property) or inspect.isgetsetdescriptor(value):
        return f"{name} a property"
    if match := re.match(rf"(?:\w+\.)*{last}(\(.*\))", text):
        return f"{name}{match[1]}"
    if inspect.isclass(value) and (match := re.match(r"\w+\.__init__(\(.*\))", value.__init__.__doc__ or "")):
        return f"{name}{match[1]}"
    raise AssertionError(f"CuPy says nothing of the signature of {name}")


# Without other ranks


def test_two_ranks_on_one_gpu_are_refused():
    one, other, third = nccl.Place("a", "0:1"), nccl.Place("a", "0:2"), nccl.Place("b", "0:1")
    nccl.check_places([one, other, third])
    with pytest.raises(
        DeviceError, match=r"ranks 1 and 3 of 4 are on the same GPU \(0:2 of a\); .*mpiexec -n"
    ) as raised:
        nccl.check_places([one, other, third, other])
    assert raised.value.on_all_ranks
    nccl.check_places([nccl.Place("localhost", "0:1", boot) for boot in ("1f", "2f")])  # two machines of one name
    with pytest.raises(DeviceError, match="rank 1 of 2 on b: CuPy 14 finds no NCCL"):
        nccl.check_places([one, nccl.Place("b", "", missing="CuPy 14 finds no NCCL")])


@pytest.mark.parametrize("number, gpus, used", [(0, 4, []), (1, 4, [1]), (5, 4, [1]), (4, 4, []), (3, 1, [])])
def test_each_rank_of_a_machine_has_a_gpu_of_its_own(monkeypatch, number, gpus, used):
    chosen = []
    cupy = types.ModuleType("cupy")
    gpu = lambda number: types.SimpleNamespace(use=lambda: chosen.append(number))  # noqa: E731
    runtime = types.SimpleNamespace(getDeviceCount=lambda: gpus, CUDARuntimeError=OSError)
    cupy.cuda = types.SimpleNamespace(Device=gpu, runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    device = sys.modules["minicnn.device"]  # minicnn.device itself is a function
    monkeypatch.setattr(device, "_gpu", 0)
    device.choose_gpu(number)
    assert device._cupy.__wrapped__() is cupy and chosen == used


def test_a_process_of_an_mpiexec_chooses_its_gpu_when_the_room_is_imported():
    program = "import sys, minicnn.distributed; print(sys.modules['minicnn.device']._gpu)"
    where = {"PMI_RANK": "5", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "4"}
    assert printed(program, **where) == "1" and printed(program) == "0"


def printed(program, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "MPI", "OMPI"))}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=True).stdout.strip()


def test_bfloat16_is_rounded_as_pytorch_does(torch):
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    bits[:6] = 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x3F808000, 0x3F818000, 0x7F7FFFFF  # NaN, ties, the largest
    numbers = bits.view(np.float32)
    found = np.asarray(bfloat16.pack(on_device(numbers)))
    theirs = torch.from_numpy(numbers).to(torch.bfloat16)
    nan = np.isnan(numbers)
    assert np.array_equal(found[~nan], theirs.view(torch.int16).numpy().view(np.uint16)[~nan])
    back = on_device(np.zeros_like(numbers))
    bfloat16.unpack(on_device(found), back)
    assert np.array_equal(np.asarray(back), theirs.float().numpy(), equal_nan=True)


def test_gradients_in_memory_are_not_sent_as_bfloat16(monkeypatch):
    net = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r"send='bfloat16' is for arrays on device 'cuda'; .*leave send out"):
        DataParallel(net, send="bfloat16")
    with pytest.raises(ValueError, match="DataParallel: send must be 'float32' or 'bfloat16', not 'half'"):
        DataParallel(net, send="half")
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    DataParallel(net.to("cuda"), send="bfloat16")
    with pytest.raises(ValueError, match="shards keep every bit of the sums"):
        DataParallel(net, shards=2, send="bfloat16")
    with pytest.raises(TypeError, match="is for float32 arrays, this one is float64; leave send out"):
        DataParallel(net.double(), send="bfloat16")


def test_a_run_is_told_before_it_begins_that_its_gradients_are_not_sent_as_bfloat16():
    with pytest.raises(SettingError, match=r"--send bfloat16 is for gradients that go from GPU to GPU.*--device cuda"):
        check_steps(Steps(send="bfloat16"), 8, 2, "cpu")
    with pytest.raises(SettingError, match="--shards keeps every bit of the sums, --send bfloat16 does not"):
        check_steps(Steps(shards=2, send="bfloat16"), 8, 2, "cuda")
    check_steps(Steps(send="bfloat16"), 8, 2, "cuda")
