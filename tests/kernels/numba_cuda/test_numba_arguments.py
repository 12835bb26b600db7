"""What a launch hands to Numba's compiled kernels is what they take, byte by byte: the GPU checks nothing.

Numba can be asked what it would hand over without a GPU.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, json, re, sys
from types import SimpleNamespace
import numpy as np
from numba import types
from numba.cuda.cudadrv import devicearray, driver
from numba.cuda.dispatcher import _Kernel
from minicnn.kernels.numba_cuda.handover import Lent
from minicnn.kernels.numba_cuda.ptx import all_kernels, compile_ptx, _type

class Launched:
    _prepare_args = _Kernel._prepare_args  # it calls itself for what a tuple holds

    def __init__(self, kernel):
        self.extensions = kernel.compiled.extensions

def value(kind):
    if isinstance(kind, types.Array):
        like = np.empty((2,) * kind.ndim, kind.dtype.name)
        memory = driver.MemoryPointer(None, driver.binding.CUdeviceptr(4096), like.nbytes)
        return devicearray.DeviceNDArray(like.shape, like.strides, like.dtype, gpu_data=memory)
    if isinstance(kind, types.BaseTuple):
        return tuple(map(value, kind))
    return None if kind == types.none else np.dtype(kind.name.replace("boolean", "bool")).type(1)

def handed_over(kernel, kinds):
    arguments = []
    for kind in kinds:
        Launched(kernel)._prepare_args(kind, value(kind), 0, [], arguments)
    return [1 if isinstance(a, np.bool_) else 8 if isinstance(a, int) else ctypes.sizeof(a) for a in arguments]

def lent(kind):
    # [what is handed over for an array of CuPy's; for the same one of Numba's own; whether both are of one type]
    numbas = value(kind)
    like = np.empty(numbas.shape, numbas.dtype)
    cupys = SimpleNamespace(dtype=like.dtype, ndim=like.ndim, size=like.size, shape=like.shape, strides=like.strides)
    cupys.data = SimpleNamespace(ptr=4096)
    given, found = Lent(cupys), []
    for array in (given, numbas):
        arguments = []
        Launched(kernel)._prepare_args(kind, array, 0, [], arguments)
        found.append([int(getattr(a, "value", a)) for a in arguments])
    return [*found, kernel.compiled.typeof_pyval(given) == kernel.compiled.typeof_pyval(numbas)]

def taken(ptx):
    parameters = re.search(r"[.]entry .*?[(](.*?)[)]", ptx, re.DOTALL)[1]
    return [int(bits) // 8 for bits in re.findall(r"[.]param (?:[.]align [0-9]+ )?[.][a-z]+([0-9]+) ", parameters)]

rows = []
for kernel in all_kernels():
    for given in {True, not any(p.is_optional for p in kernel.parameters)}:
        kinds = [_type(p, types.float32, given) for p in kernel.parameters]
        ptx = compile_ptx(kernel, types.float32, given, 75)
        arrays = [lent(kind) for kind in kinds if isinstance(kind, types.Array)]
        rows.append([str(kernel), given, handed_over(kernel, kinds), taken(ptx), arrays])
json.dump(rows, sys.stdout)
"""


def test_every_kernel_is_handed_what_it_takes(tmp_path):
    pytest.importorskip("numba_cuda", reason="Numba's kernels need numba-cuda[cu12] or [cu13]")
    pytest.importorskip("cuda.core", reason="numba-cuda launches by cuda-core")
    program = tmp_path / "arguments.py"
    program.write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "MINICNN_EMULATE_GPU"}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert len(rows) > 40 and {given for _, given, *_ in rows} == {True, False}
    for kernel, given, handed_over, taken, arrays in rows:
        assert arrays
        for cupys, numbas, of_one_type in arrays:
            assert cupys == numbas and of_one_type, kernel
        assert handed_over == taken, f"{kernel}{'' if given else ', optional arrays None'}"
