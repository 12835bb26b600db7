"""The build gate of Numba's kernels: what it compiles, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checks import PYTHON_GPU

with PYTHON_GPU.active():
    from minicnn.kernels.numba_cuda import launch

GATE = """
import json, sys
from pathlib import Path
from numba import cuda, types
from minicnn.kernels.numba_cuda import launch, ptx
from minicnn.kernels.numba_cuda.launch import T, cuda, int64, kernel

@kernel
def leaks(x: T[:]):
    x[0] = x[0] * 0.1

@kernel
def spills(x: T[:], n: int64):
    kept = cuda.local.array(90, x.dtype)
    for i in range(90):
        kept[i * n % 90] = x[i]
    x[0] = kept[n]

@kernel
def wrong(x: T[:]):
    x[0] = nowhere

def refused(kernel):
    ptx.all_kernels = lambda: [kernel]
    try:
        return [each[-1] for each in ptx.check_kernels([75])]
    except RuntimeError as error:
        return str(error)

names = [[k.file, k.name] for k in ptx.all_kernels()]
usages = list(ptx.check_kernels([75, 80, 90, 100]))
json.dump([names, usages, *map(refused, (leaks, spills, wrong))], sys.stdout)
"""


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """What the gate says, in a process of its own: in this one the GPU is emulated."""
    pytest.importorskip("numba_cuda", reason="Numba's build gate needs numba-cuda[cu12] or [cu13]")
    linker = pytest.importorskip("cuda.bindings.nvjitlink", reason="Numba's build gate needs nvJitLink")
    try:
        linker.version()
    except Exception as error:  # the library is another package, and looked for at the first call
        pytest.skip(f"Numba's build gate needs nvJitLink: {error}")
    program = tmp_path_factory.mktemp("gate") / "gate.py"
    program.write_text(GATE)
    environment = {name: value for name, value in os.environ.items() if name != "MINICNN_EMULATE_GPU"}
    done = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_every_kernel_compiles_in_float32_without_float64_and_without_spills(gate):
    names, usages, *_ = gate
    defined = Path(launch.__file__).parent.glob("*.py")
    assert len(names) == sum(path.read_text().count("\n@kernel\n") for path in defined) > 30
    assert {(file, kernel.removesuffix(" (None)")) for file, kernel, *_ in usages} == set(map(tuple, names))
    for file, kernel, real, architecture, registers, shared, slow in usages:
        assert slow == 0, f"{kernel} ({file}), {real}: {slow} bytes of slow memory on sm_{architecture}"
        assert 0 < registers <= 255 and shared <= 48 << 10
    assert max(shared for *_, shared, _ in usages) >= 2 * 16 * 16 * 8, "two tiles of float64 numbers"


@pytest.mark.slow
def test_the_gate_refuses(gate):
    _, _, leaks, spills, wrong = gate
    assert "leaks (gate.py)" in leaks and "f64" in leaks
    assert all(slow >= 4 * 90 for slow in spills)
    assert "wrong (gate.py) does not compile" in wrong and "nowhere" in wrong
