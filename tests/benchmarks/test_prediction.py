"""benchmarks/predict.py: the model's arithmetic, a step whose every launch it knows, and the pages about it."""

import json
import subprocess
import sys

import pytest
from gpu_benchmark import program
from paths import BENCHMARKS, ROOT

from minicnn.kernels.cuda.profiler.peaks import GPU

launches, model, work, tables, document, machine = (
    program(f"gpumodel.{name}") for name in ("launches", "model", "work", "tables", "document", "counts")
)
FOLDER = BENCHMARKS / "results" / "gpu_model"
BEFORE, AFTER, KERNELS, HOST = (
    json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("before", "after", "kernels", "host")
)
ROUND = GPU("round", 90, 100, 128, 1.0, 204.8, 1000, "made up: peak 25.6 TFLOP/s, tensor cores 8 times that")


def launch(name, blocks=100, arrays=None, phase="forward", **numbers):
    file, _, kernel = name.partition(" ")
    kernel, _, real = kernel.removesuffix(">").partition("<")
    return launches.Launch(file, kernel, real, blocks, arrays or {}, numbers, phase)


def counts(**more):
    """Of a run that reads and writes a sector of 32 bytes each."""
    nothing = dict.fromkeys(
        ("requests", "global_requests", "turns", "sectors", "fmas", "tensor", "warp_fmas", "warp_others"), 0
    )
    return {**nothing, "arrays": {"x": [1, 0, 32], "y": [0, 1, 32]}, "sass": {}, **more}


def seconds(found, what):
    return pytest.approx(found.seconds[what], rel=1e-12)


ELEMENTWISE = launch("activation.cu relu_forward<float>", arrays={"x": (32000, False), "y": (32000, True)})
MATMUL = launch("matmul.cu matmul_large<float>", arrays={"a": (100, False)}, I=1280, J=1280, K=512)


def test_bytes_of_memory():
    found = model.cost(ELEMENTWISE, counts(), ROUND)
    assert found.bytes == 64000 and found.bound == "global memory"
    assert seconds(found, "global memory") == 64000 / (1e12 * model.MEMORY)
    both = counts(arrays={"x": [1, 0, 32], "y": [1, 1, 32]})  # y is read, too
    assert model.cost(ELEMENTWISE, both, ROUND).bytes == 96000
    assert model.cost(ELEMENTWISE, None, ROUND).bytes == 64000  # nothing is known but which array is const


def test_tables_of_arrays():
    """SGD's: weight, gradient, velocity, and the next weight."""
    arrays = {f"reaches[{i}]": (1000, True) for i in range(6)}
    seen = {"reaches[0]": [1, 1, 32], "reaches[1]": [1, 0, 32], "reaches[2]": [1, 1, 32]}
    assert model.cost(launch("sgd.cu sgd_update<float>", arrays=arrays), counts(arrays=seen), ROUND).bytes == 10000


def test_what_is_counted_grows_with_the_bytes():
    row = counts(turns=3, sectors=4, requests=2, warp_fmas=5, warp_others=1)  # of 64 bytes: a thousandth
    found = model.cost(ELEMENTWISE, row, ROUND)
    cycles = 100 * 1e9
    assert seconds(found, "L1 and shared memory") == 3000 / cycles
    assert seconds(found, "second cache") == 4000 * 32 / model.L2 / cycles
    assert seconds(found, "issue") == 8000 / 4 / cycles
    assert seconds(found, "arithmetic") == 6000 * 32 / 128 / cycles


def test_instructions_of_the_main_loop():
    row = counts(global_requests=2, requests=2, sass={"90": {"loop": {"LDG": 1, "STG": 1, "integer": 98}}})
    assert seconds(model.cost(ELEMENTWISE, row, ROUND), "issue") == 2000 / 2 * 100 / 4 / 1e11
    row = counts(fmas=1, sass={"90": {"loop": {"FFMA": 50, "integer": 50}}})
    found = model.cost(MATMUL, row, ROUND)
    assert found.multiply_adds == 100 * 128 * 128 * 512
    assert seconds(found, "arithmetic") == found.multiply_adds * 2 / (ROUND.peak * 1e12)
    assert seconds(found, "issue") == 2 * found.seconds["arithmetic"]  # half of the instructions multiply


def test_tensor_cores():
    product = launch("tensor_conv.cu conv2d_forward<bfloat16>", length=64, splits=1, H=8, W=8)
    row = counts(tensor=1, loop={"turns": 0.01, "sectors": 0.0}, sass={"90": {"loop": {"tensor": 1, "integer": 3}}})
    found = model.cost(product, row, ROUND)
    assert found.multiply_adds == 100 * 128 * 128 * 64
    assert seconds(found, "tensor cores") == found.multiply_adds * 2 / (204.8e12 * model.TENSOR[90])
    assert seconds(found, "issue") == found.multiply_adds / 2048 * 4 / 4 / 1e11
    assert seconds(found, "L1 and shared memory") == found.multiply_adds * 0.01 / 1e11


@pytest.mark.parametrize("blocks, longer", [(100, 1), (50, 2), (101, 200 / 101), (1, 100), (1000, 1)])
def test_the_fullest_multiprocessor(blocks, longer):
    row = counts(turns=3)
    found = model.cost(ELEMENTWISE._replace(blocks=blocks), row, ROUND)
    assert seconds(found, "L1 and shared memory") == longer * 3000 / 1e11
    assert found.seconds["global memory"] == model.cost(ELEMENTWISE, row, ROUND).seconds["global memory"]


def test_strides_are_not_multiplied_by_zeros():
    sizes = {"OC": 64, "C": 32, "groups": 1, "KH": 3, "KW": 3, "SH": 2, "SW": 2, "length": 7}
    assert work.multiply_adds(launch("conv.cu conv2d_grad_x_64x128<float>", 10, **sizes)) == 10 * 64 * 128 * 64 * 9 // 4
    assert work.multiply_adds(launch("conv.cu conv2d_forward_64x64<float>", 10, **sizes)) == 10 * 64 * 64 * 32 * 9
    assert work.multiply_adds(launch("conv.cu conv2d_grad_weight_64x64<float>", 10, **sizes)) == 10 * 64 * 64 * 7
    before = launch("conv.cu conv2d_grad_x<float>", 10, **sizes)
    assert work.multiply_adds(before) == 10 * 64 * 64 * 64 * 9


def sass(*instructions):
    """Text as nvdisasm writes it; "a:" is a label, ("BRA", "a") goes back to it."""
    lines = [
        f".L_{each}" if isinstance(each, str) and each.endswith(":")
        else f"        /*{16 * n:04x}*/                   BRA `(.L_{each[1]}) ;" if isinstance(each, tuple)
        else f"        /*{16 * n:04x}*/                   {each} R1, R2 ;"
        for n, each in enumerate(instructions)
    ]  # fmt: skip
    return "\n".join(lines)


def test_the_loop_over_rows_stands_within_the_one_over_tiles():
    rows = "b:", *["LDS.128"] * 4, *["FFMA"] * 64, ("BRA", "b")
    text = sass("MOV", "a:", *["LDG.E"] * 8, "IADD3", *rows, *["STS"] * 8, "BAR.SYNC", ("BRA", "a"), "EXIT")
    found = machine._step(text, (128, 128))  # 8 numbers of 2 x 128 are 8 rows
    assert found == {"FFMA": 512, "LDS": 32, "STS": 8, "LDG": 8, "barrier": 1, "branch": 9, "integer": 1}
    unrolled = sass("a:", "LDG.E", "STS", *["LDS.128"] * 4, *["FFMA"] * 64, ("BRA", "a"))
    assert machine._step(unrolled, (128, 128)) == {"LDG": 1, "STS": 1, "LDS": 4, "FFMA": 64, "branch": 1}
    assert machine._step(text, None) == {} and machine._step("", (64, 64)) == {}


def test_a_kernel_of_no_kind():
    with pytest.raises(KeyError, match=r"new\.cu newest<float>: of what kind is it\?"):
        work.kind(launch("new.cu newest<float>"))


@pytest.mark.emulator
@pytest.mark.parametrize("precision", tables.PRECISIONS)
def test_every_launch_of_a_step_has_a_kind_and_a_bound(precision, monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    step = launches.collect("resnet20", 64, precision)
    known = KERNELS["kernels"]
    assert not {each.name for each in step.launches if each.file and each.name not in known}
    costs = model.predict(step, known, ROUND)
    assert {each.kind for each in costs} <= set(work.KINDS)
    assert all(each.time > 0 and each.bound in model.RESOURCES for each in costs if each.bytes)
    useful = 3 * 64 * 40.5e6  # multiply-adds of the network, forward and for both gradients
    # Winograd's are fewer; a tile has 64 columns or rows, a third of the layers 16 filters
    assert useful * 0.4 < sum(each.multiply_adds for each in costs) < useful * 4
    twice = launches.collect("resnet20", 128, precision)
    sums = [
        [sum(of) for of in zip(*((c.bytes, c.multiply_adds) for c in model.predict(s, known, ROUND)), strict=True)]
        for s in (step, twice)
    ]
    assert all(1.8 < new / old < 2.05 for old, new in zip(*sums, strict=True))


def test_what_the_command_says(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "predict.py"), "--network", "resnet20", "--batch", "8"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "PREDICTED, not measured" in said and "batch norm" in said and "as a CUDA graph" in said
    refused = subprocess.run(
        [*command, "--gpu", "T4", "--precision", "bfloat16"], capture_output=True, text=True, check=False
    )
    assert (
        refused.returncode == 1
        and refused.stderr == "error: the T4 has no tensor cores for bfloat16: --precision float32\n"
    )


def test_the_pages_show_the_committed_figures():
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    for table in document.section(BEFORE, AFTER, KERNELS, HOST).split("\n\n"):
        assert table in page
    assert document.PAGE.read_text(encoding="utf-8") == document.page(BEFORE, KERNELS)


def test_operations_are_those_of_the_network():
    """6.22 TFLOP of 256 pictures; tiles reach beyond edges, and before, strides multiplied zeros."""

    def operations(results, precision):
        return 2 * results["steps"][f"resnet50 {precision} H100"]["tera_multiply_adds"]

    assert 6.22 < operations(AFTER, "bfloat16") < 1.1 * 6.22
    assert 6.22 < operations(BEFORE, "float32") < 1.2 * 6.22
    assert operations(AFTER, "float32") < 6.22  # Winograd


def test_every_case_is_there():
    names = [f"{network} {precision} H100" for network, _ in tables.CASES for precision in tables.PRECISIONS]
    for results in (BEFORE, AFTER):
        assert set(names) <= set(results["steps"])
        for step in results["steps"].values():
            assert step["milliseconds"] == pytest.approx(
                sum(kind["milliseconds"] for kind in step["kinds"].values()), abs=0.01
            )


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.parametrize("network, batch", tables.CASES)
@pytest.mark.parametrize("precision", tables.PRECISIONS)
def test_the_figures_are_those_of_now(network, batch, precision, monkeypatch):
    """Where they are not: python benchmarks/predict.py --out benchmarks/results/gpu_model, then --document."""
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    (found,) = program("predict").predicted(network, batch, precision, ["H100"])
    held = AFTER["steps"][tables.name(found)]
    for figure in ("launches", "gigabytes", "tera_multiply_adds", "milliseconds"):
        assert found[figure] == pytest.approx(held[figure], rel=0.05)
