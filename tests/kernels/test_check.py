"""The build gate: every .cu file compiles for every architecture, without spills; and what it must not let through."""

from pathlib import Path

import pytest
from checks import raises

from minicnn.kernels import check
from minicnn.kernels.check import ARCHITECTURES, Usage, architectures, check_file, table
from minicnn.kernels.cuda.source import FOLDER, architecture, kernels, types

try:
    check.compiler()
except ImportError as error:
    pytest.skip(f"the build gate needs NVRTC: {error}", allow_module_level=True)

FILES = sorted(FOLDER.glob("*.cu"))

SPILLING = """
template <typename T> __global__ void __launch_bounds__(1024) many(T *x) {
    T kept[90];
    _Pragma("unroll") for (int i = 0; i < 90; i++) kept[i] = x[i * 1024 + threadIdx.x];
    for (int round = 0; round < 9; round++) {
        __syncthreads();
        _Pragma("unroll") for (int i = 0; i < 90; i++) kept[i] = kept[i] * kept[(i + 1) % 90] + kept[(i + 7) % 90];
    }
    _Pragma("unroll") for (int i = 0; i < 90; i++) x[i * 1024 + threadIdx.x] = kept[i];
}
"""


USUAL = 90  # what every run compiles for; the others take a minute, too
LONG = "conv.cu", "tensor_conv.cu", "tensor_conv_float.cu"  # half of the time of them all


def _is_slow(path, sm):
    """A file that is for one GPU alone is always compiled for it."""
    return path.name in LONG or (sm != USUAL and architecture(path) is None)


ONE_BY_ONE = [
    pytest.param(path, sm, marks=[pytest.mark.slow] if _is_slow(path, sm) else [])
    for path in FILES
    for sm in architectures(path)
]


@pytest.mark.parametrize("path, sm", ONE_BY_ONE, ids=lambda value: getattr(value, "name", str(value)))
def test_every_kernel_compiles_without_spills(path, sm):
    usages = check_file(path, sm)
    assert {(u.kernel, u.real) for u in usages} == {(k, real) for k in kernels(path) for real in types(path).values()}
    for usage in usages:
        assert usage.spills == 0, f"{usage.kernel}<{usage.real}> spills {usage.spills} bytes on sm_{sm}"
        assert usage.registers > 0 and 0 < usage.occupancy <= 100


@pytest.mark.parametrize("architecture", [min(ARCHITECTURES), max(ARCHITECTURES)])
def test_every_type_that_a_parameter_may_have(architecture):
    path = Path(__file__).parent / "cuda" / "kernels_of_types.cu"
    usages = check_file(path, architecture)
    assert {usage.real for usage in usages} == {"float", "double", "bfloat16"} and not any(u.spills for u in usages)


FOR_HOPPER = """// T: float
// arch: sm_90a
#include "hopper.cuh"
template <typename T> __global__ void products(T *y, unsigned long long tile) {
    float sum[64] = {};
    fence_sums();
    multiply_add<false, false>(sum, tile, tile);
    SEEN
    multiply_add<false, false>(sum, tile, tile);
    close_products();
    wait_for_products<0>();
    for (int i = 0; i < 64; i++) y[i * 128 + threadIdx.x] = sum[i];
}
"""


def test_products_that_wait_for_one_another_are_an_error(tmp_path):
    path = tmp_path / "products.cu"
    path.write_text(FOR_HOPPER.replace("SEEN", ""))
    assert [(u.architecture, u.spills) for sm in architectures(path) for u in check_file(path, sm)] == [(90, 0)]
    path = tmp_path / "serial.cu"
    path.write_text(FOR_HOPPER.replace("SEEN", "sum[3] *= 2;"))
    with raises(RuntimeError, "serial.cu", "sm_90", "wait for one another"):
        check_file(path, 90)


def test_a_file_for_one_gpu_says_so(tmp_path, monkeypatch, capsys):
    (tmp_path / "products.cu").write_text(FOR_HOPPER.replace("SEEN", ""))
    monkeypatch.setattr(check, "FOLDER", tmp_path)
    monkeypatch.setattr(check, "numba_usages", lambda: [])
    assert check.main() == 0
    said = capsys.readouterr().out
    assert "products.cu is for sm_90a and nothing else" in said and "1 kernels compiled" in said


def test_spills_are_seen_and_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "many.cu").write_text(SPILLING)
    assert all(usage.spills for usage in check_file(tmp_path / "many.cu", 80))
    monkeypatch.setattr(check, "FOLDER", tmp_path)
    monkeypatch.setattr(check, "ARCHITECTURES", {80: ARCHITECTURES[80]})
    monkeypatch.setattr(check, "numba_usages", lambda: [])  # tests/kernels/numba_cuda/test_ptx.py has them
    assert check.main() == 1
    assert "2 kernels compiled, 2 of them with spills" in capsys.readouterr().out


LOCAL = """
template <typename T> __global__ void local(T *x, int i) {
    T kept[64];
    for (int k = 0; k < 64; k++) kept[k * i % 64] = x[k];
    x[0] = kept[i];
}
"""


def test_an_array_in_slow_memory_is_seen(tmp_path):
    (tmp_path / "local.cu").write_text(LOCAL)
    assert [usage.spills for usage in check_file(tmp_path / "local.cu", 80)] == [256, 512]


def test_a_file_that_does_not_compile(tmp_path, monkeypatch, capsys):
    path = tmp_path / "broken.cu"
    path.write_text("template <typename T>\n__global__ void broken(T *x) {\n    x[0] = y;\n}\n")
    with raises(RuntimeError, "broken.cu(3)", "y", "sm_90"):
        check_file(path, 90)
    path.write_text('#include "tensor_cores.cuh"\n' + path.read_text())
    with raises(RuntimeError, "broken.cu(4)", "y", "sm_90"):
        check_file(path, 90)
    monkeypatch.setattr(check, "FOLDER", tmp_path)
    assert check.main() == 1
    assert "\nerror: broken.cu, sm_75" in capsys.readouterr().err


def test_one_file_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "local.cu").write_text(LOCAL)
    (tmp_path / "broken.cu").write_text("template <typename T>\n__global__ void broken(T *x) { x[0] = y; }\n")
    monkeypatch.setattr(check, "FOLDER", tmp_path)
    monkeypatch.setattr(check, "ARCHITECTURES", {80: ARCHITECTURES[80]})
    assert check.main(["local.cu"]) == 1
    said = capsys.readouterr()
    assert "2 kernels compiled, 2 of them with spills" in said.out and said.err == "local.cu ...\n"
    assert check.main(["lost.cu"]) == 1
    assert capsys.readouterr().err == "error: there is no file lost.cu, here or in kernels/cuda/\n"


@pytest.mark.parametrize(
    "registers, shared, architecture, occupancy",
    [
        (32, 0, 90, 100),  # 8 blocks of 8 warps of 1024 registers
        (33, 0, 90, 75),  # 1280 registers a warp: 6 blocks
        (255, 0, 80, 12.5),  # 8192: 1 block
        (64, 0, 75, 100),  # 2048: 4 blocks, as many as its 1024 threads allow
        (32, 40 << 10, 90, 62.5),  # 228 KiB / 41 KiB: 5 blocks
        (32, 40 << 10, 75, 25),  # 64 KiB / 40 KiB: 1 of 4 blocks
    ],
)
def test_occupancy(registers, shared, architecture, occupancy):
    usage = Usage("a.cu", "a", "float", architecture, registers, shared, 0)
    assert usage.occupancy == occupancy


def test_the_table_has_a_line_for_each_kernel():
    usages = [Usage("a.cu", "name", "float", architecture, 40, 16, 0) for architecture in ARCHITECTURES]
    header, line = table(usages)
    assert header.count("sm_") == line.count("|") == len(ARCHITECTURES) and line.startswith(f"{'a.cu':20} name")


def test_a_compiler_that_is_not_there_beside_its_bindings(monkeypatch, capsys):
    """It is another package, and is looked for when it is first called."""
    from cuda.bindings import nvrtc

    def missing():
        raise RuntimeError("Failed to find nvrtc\nlooked in many places")

    monkeypatch.setattr(nvrtc, "nvrtcVersion", missing)
    with raises(ImportError, "NVRTC", "Failed to find nvrtc"):
        check.compiler()
    assert check.main() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Failed to find nvrtc" in said and "pip install nvidia-cuda-nvrtc" in said
