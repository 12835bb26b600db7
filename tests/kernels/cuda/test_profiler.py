"""The profiler: planted faults are found at their lines, the ladder is ranked, operations are counted one by one."""

import functools
import json
import re
from pathlib import Path

import pytest
from checks import needs_compiler, raises

from minicnn.device import KernelError
from minicnn.kernels import profile as command
from minicnn.kernels.cuda.emulator.counting import counting
from minicnn.kernels.cuda.matmul import LADDER
from minicnn.kernels.cuda.profiler import arguments, gate, listing, machine_code, peaks, places, profiles, sass
from minicnn.kernels.cuda.profiler.cases import cases
from minicnn.kernels.cuda.source import FOLDER, kernels

FILE = Path(__file__).with_name("kernels_profiled.cu")
H100 = peaks.gpu("H100")

needs_lines = pytest.mark.skipif(
    not any(map(places.shutil.which, ("addr2line", "llvm-addr2line", "llvm-symbolizer"))), reason="needs addr2line"
)
pytestmark = [needs_compiler, needs_lines, pytest.mark.emulator]


@pytest.fixture(autouse=True)
def _emulated(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


def profiled(path, kernel, words, grid=(1,), block=(32,), options=()):
    with counting(options) as launches:
        arguments.launch(path, kernel, words.split(), grid, block)
    (found,) = profiles.profiles(launches)
    return found


def of_case(name, options=(), instead=None):
    """{kernel: its profile}"""
    with counting(options, instead) as launches:
        cases()[name].run()
    return {found.kernel: found for found in profiles.profiles(launches)}


def line_of(path, text):
    """The one line of the file that has this text."""
    (number,) = (n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)
    return path.name, number


def changed(tmp_path, path, old, new):
    """A copy of the file in which `old` is `new`."""
    text, copy = path.read_text(), tmp_path / path.name
    assert old in text
    copy.write_text(text.replace(old, new))
    return copy


def without_padding(tmp_path):
    """{matmul.cu: a copy whose tiles have rows of 64 numbers rather than 68}"""
    changed(tmp_path, FOLDER / "product.cuh", " + 4]", "]")
    path = FOLDER / "matmul.cu"
    return {path: changed(tmp_path, path, "", "")}


def test_a_missing_padding_is_found_at_the_line_that_stores(tmp_path):
    found = of_case("matmul_double", instead=without_padding(tmp_path))["matmul_double"]
    place, text = next(each for each in listing.wasteful(found) if "shared memory" in each[1])
    assert place == line_of(tmp_path / "product.cuh", "= numbers[p];")
    assert text == CONFLICT


def test_an_uncoalesced_load_is_found_at_its_line(tmp_path):
    right = profiled(FILE, "axpy", "x=1024 y=1024 a=2.0 size=1024", (4,), (256,))
    assert listing.wasteful(right) == []
    changed(tmp_path, FILE.with_name("profiled.cuh"), "", "")
    copy = changed(tmp_path, FILE, "a * x[i] +", "a * x[i * 9 % size] +")
    wrong = profiled(copy, "axpy", "x=1024 y=1024 a=2.0 size=1024", (4,), (256,))
    ((place, text),) = listing.wasteful(wrong)
    assert place == line_of(copy, "x[i * 9") and text.startswith("reads: 18.0 sectors a request")


def test_a_conflict_in_an_included_file_is_found_there(tmp_path):
    words = "x=1024 y=1024"
    right = profiled(FILE, "reversed", words, block=(32, 32))
    assert listing.wasteful(right) == [] and right.total.shared.ratio == 1
    changed(tmp_path, FILE.with_name("profiled.cuh"), "[33]", "[32]")
    copy = tmp_path / FILE.name
    copy.write_text(FILE.read_text().replace("[33]", "[32]"))
    wrong = profiled(copy, "reversed", words, block=(32, 32))
    ((place, text),) = listing.wasteful(wrong)
    assert place == line_of(tmp_path / "profiled.cuh", "return tile") and "32.0 wavefronts" in text
    assert any(re.search(r"32\.0 +1\.0 +32 .* 5     return tile", line) for line in listing.listing(wrong))


@functools.cache
def rung(name):
    """Its profile, with arithmetic."""
    (found,) = of_case(name, machine_code.options()).values()
    return found


def test_the_ladder_of_matmul_in_its_order():
    share = {}
    for name in LADDER:
        found = rung(name)
        assert found.total.fmas == 128**3 or not machine_code.joins()
        share[name] = peaks.share_of_peak(found, H100)
    naive, coalesced, shared, register, vector, double, large, _ = share.values()
    assert naive < 0.02 < 0.05 < min(coalesced, shared) and max(coalesced, shared) < 0.2
    tiles = register, vector, double
    assert min(tiles) > 0.35 and max(tiles) < 0.7 * large < large < 1


def numberless(line):
    """A line of a listing or a summary without the number of the line in the file."""
    return re.sub(r"\.cu:\d+|\|\s+\d+ ", "", line)


@pytest.mark.skipif(machine_code.disassembler() is None, reason="needs objdump")
def test_the_page_shows_what_the_command_prints(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "profiler.md").read_text()
    a100, said = peaks.gpu("A100"), set()
    (own,) = re.findall(r"```cuda\n(.*?)```", page, re.S)
    (words, grid, block) = re.findall(r"transpose\.cu transpose (.+) --grid (\S+) --block (\S+)", page)[0]
    (tmp_path / "transpose.cu").write_text(own)
    sizes = [tuple(map(int, text.split(","))) for text in (grid, block)]
    transpose = profiled(tmp_path / "transpose.cu", "transpose", words, *sizes, machine_code.options())
    for found in (rung("matmul_naive"), rung("matmul_register"), transpose):
        said.update(map(numberless, [*listing.listing(found), *listing.summary(found, a100, [])]))
    quoted = [line for block in re.findall(r"```text\n(.*?)```", page, re.S) for line in block.splitlines()]
    assert len(quoted) > 10
    assert [line for line in quoted if numberless(line) not in said] == [f"  product.cuh:26: {CONFLICT}"]


CONFLICT = "shared memory: 9.0 wavefronts a request, 1.0 would do; worst 16"  # which is planted below


@pytest.mark.skipif(machine_code.disassembler() is None, reason="needs objdump")
def test_operations_and_lanes_are_counted():
    options = machine_code.options()
    axpy = profiled(FILE, "axpy", "x=1000 y=1000 a=2.0 size=1000", (4,), (256,), options)
    joined = machine_code.joins()
    assert (axpy.total.fmas, axpy.total.others) == ((1000, 0) if joined else (0, 2000))
    split = profiled(FILE, "two_ways", "x=96 y=96", (1,), (96,), options)
    lines = {place.line: work for place, work in split.lines.items()}
    _, branch = line_of(FILE, "sum * T(3)")
    _, loop = line_of(FILE, "sum += T(2)")
    assert lines[branch].lanes == 8 and lines[branch].fmas + lines[branch].others == 3 * 8 * (1 if joined else 2)
    assert lines[loop].lanes == 16 and lines[loop].others == 3 * 16
    few = dict(listing.wasteful(split))
    assert "lanes: 8.0 of 32" in few[places.Place(*line_of(FILE, "sum * T(3)"))]


def test_a_struct_is_copied_by_several_instructions():
    found = profiled(FILE, "of_threes", "x=64 y=64", block=(64,))
    (stores,) = [work.shared for place, work in found.lines.items() if place == line_of(FILE, "] = three;")]
    # two warps, three numbers; lanes that are 3 words apart have banks of their own
    assert (stores.requests, stores.lanes, stores.pieces, stores.least, stores.written) == (6, 6 * 32, 6, 6, 64 * 12)


def test_half_a_warp_is_not_there():
    assert profiled(FILE, "axpy", "x=16 y=16 a=2.0 size=16", (1,), (16,)).total.lanes == 16


ASSEMBLY = {
    "x86-64": """
0000000000001000 <kernel>:
    1000:	push   %rbx
    1001:	call   900 <__sanitizer_cov_trace_pc@plt>
    1006:	vfmadd231ss (%rax),%xmm1,%xmm0
    100b:	vaddss %xmm2,%xmm0,%xmm0
    100f:	add    $0x4,%rax
    1013:	call   920 <expf@plt>
    1018:	jmp    1001 <kernel+0x1>
    101a:	vmulss %xmm0,%xmm0,%xmm0
    101e:	call   900 <__sanitizer_cov_trace_pc@plt>
    1023:	ret
""",
    "AArch64": """
0000000000001000 <kernel>:
    1000:	stp	x29, x30, [sp, #-16]!
    1002:	bl	900 <__sanitizer_cov_trace_pc@plt>
    1006:	fmadd	s0, s1, s2, s0
    100b:	fadd	s0, s0, s3
    100f:	add	x0, x0, #0x4
    1013:	bl	920 <expf@plt>
    1018:	b	1002 <kernel+0x2>
    101a:	fmul	s0, s0, s0
    101f:	bl	900 <__sanitizer_cov_trace_pc@plt>
    1023:	ret
""",
}


@pytest.mark.parametrize("machine", list(ASSEMBLY))
def test_arithmetic_is_read_from_machine_code(machine):
    found = machine_code.read(ASSEMBLY[machine])
    assert found == {0x1005: [(0x1006, True), (0x100B, False), (0x1013, False)], 0x1022: []}


SASS = """
.text._Z4onceIfEvPf:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDG.E R3, [R2.64] ;
        /*0020*/                   STS [R4], R3 ;
.L_x_1:
        /*0030*/                   LDS.128 R4, [R8] ;
        /*0040*/                   FFMA.FTZ R0, R4, R5, R0 ;
        /*0050*/                   FFMA R0, R6, R7.reuse, R0 ;
        /*0060*/                   IADD3 R8, R8, 0x10, RZ ;
        /*0070*/               @P0 BRA `(.L_x_1) ;
        /*0080*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;
        /*0090*/              @!P1 BRA `(.L_x_0) ;
        /*00a0*/                   FMUL R0, R0, R0 ;
.L_x_2:
        /*00b0*/                   BRA `(.L_x_2);
"""


def test_the_main_loop_is_the_shortest_around_most_multiply_adds():
    assert sass.main_loop(SASS) == {"FFMA": 2, "LDS": 1, "branch": 1, "integer": 1}
    copying = SASS.replace("FFMA", "MOV")
    assert sass.main_loop(copying)["LDG"] == 1
    assert sass.main_loop("") == {}


def test_peaks_are_the_published_ones():
    published = {"T4": 8.1, "A100": 19.5, "RTX3090": 35.6, "RTX4090": 82.6, "L4": 30.3, "H100": 66.9, "H200": 66.9}
    for name, peak in published.items():
        assert round(peaks.gpu(name).peak, 1) == peak, name
    with raises(KernelError, "no GPU 'V100'", "T4, A100"):
        peaks.gpu("V100")


def test_what_bounds_a_kernel():
    (naive,) = of_case("matmul_naive").values()
    slowest, *_ = peaks.bounds(naive, H100)
    assert slowest.resource == "shared memory and L1"
    lines = 17 * 128**3 / 32 + 2048 * 4  # of a and b, then of c
    assert slowest.seconds == pytest.approx(lines / (132 * 1.98e9), rel=1e-3)
    relu = of_case("relu")["relu_forward"]
    slowest, *_ = peaks.bounds(relu, H100)
    assert slowest.resource == "global memory"
    assert slowest.seconds == pytest.approx(2 * 2 * 16 * 18 * 20 * 4 / 3352e9)


def test_what_engines_copy_and_tensor_cores_multiply_is_counted():
    found = of_case("product_hopper")["product_hopper_b"]  # c = a @ b, 128 x 128 each, in bfloat16, by TMA and wgmma
    assert found.total.tensor == 128**3
    assert found.total.reads.pieces == found.total.reads.least == 2 * 128 * 128 * 2 // 32
    assert found.total.writes.written == 128 * 128 * 2
    pipelined = of_case("product_pipelined")["product_pipelined"]
    assert pipelined.total.tensor == 128**3 and pipelined.total.shared.ratio == 1


def test_the_command(tmp_path, capsys):
    kept, picture = tmp_path / "axpy.json", tmp_path / "axpy.png"
    words = [str(FILE), "axpy", "x=1024", "y=1024", "a=2.0", "size=1024", "--grid", "4", "--gpu", "t4"]
    assert command.main([*words, "--json", str(kept), "--figure", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "y[i] = a * x[i] + y[i];" in said and "global memory" in said and "Not known here" in said
    (document,) = json.loads(kept.read_text())
    assert document["kernel"] == "axpy" and document["gpu"] == "T4" and document["total"]["reads"]["requests"] == 64
    assert document["lines"][-1]["line"] == line_of(FILE, "a * x[i]")[1]
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words, said",
    [
        ([], ["An op, a kernel or a file", "--list"]),
        (["convolution"], ["'convolution'", "conv2d"]),
        (["absent.cu", "x"], ["absent.cu", "matmul.cu"]),
        ([str(FILE)], ["which kernel?", "axpy, reversed, of_threes, two_ways"]),
        ([str(FILE), "scale"], ["no kernel 'scale'", "axpy, reversed, of_threes, two_ways"]),
        ([str(FILE), "axpy"], ["x=SHAPE y=SHAPE a=NUMBER size=NUMBER"]),
        ([str(FILE), "axpy", "x=4"], ["T *y, T a, int size", "y=SHAPE a=NUMBER size=NUMBER"]),
        ([str(FILE), "axpy", "x=4", "y=4", "a=1", "size=4", "b=1"], ["no parameter b"]),
        ([str(FILE), "axpy", "x=4", "y=four", "a=1", "size=4"], ["y=four", "128x64"]),
        ([str(FILE), "axpy", "x=4", "y=4", "a=one", "size=4"], ["a=one", "number"]),
        ([str(FILE), "axpy", "x=4", "4"], ["'4'", "NAME=VALUE"]),
        ([str(FILE), "axpy", "x=4", "y=4", "a=1", "size=4", "--grid", "a"], ["--grid a"]),
        ([str(FILE), "axpy", "x=4", "y=4", "a=1", "size=8"], ["out of bounds", "kernels_profiled.cu:8"]),
        ([str(FILE), "axpy", "x=4", "y=4", "a=1", "size=4", "--block", "2048"], ["block", "2048", "1024"]),
        ([str(FILE), "axpy", "x=4", "y=4", "a=1", "size=4.5"], ["size", "whole number", "4.5"]),
        (["convd"], ["convd", "do you mean conv2d", "--list"]),
        (["relu", "--gpu", "V100"], ["V100", "H100"]),
        (["relu", "--figure", "relu.nothing"], ["relu.nothing"]),
    ],
)
def test_what_cannot_be_profiled_is_one_line(words, said, capsys):
    assert command.main(words) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and all(part in error for part in said), error


def test_without_nvidias_compilers_and_disassemblers_the_rest_goes_on(monkeypatch, capsys):
    def missing(*_):
        raise ImportError("there is none")

    monkeypatch.setattr(command.sass, "machine", missing)
    monkeypatch.setattr(machine_code.shutil, "which", lambda name: None if "objdump" in name else "/usr/bin/" + name)
    machine_code.blocks.cache_clear()
    assert command.main([str(FILE), "axpy", "x=32", "y=32", "a=1", "size=32", "--block", "32"]) == 0
    said = capsys.readouterr().out
    machine_code.blocks.cache_clear()
    assert "registers, occupancy and SASS: not known, there is none" in said
    assert "arithmetic was not counted: objdump is not installed" in said and "4.0   4.0   4" in said


def test_the_lists(monkeypatch, capsys):
    assert command.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert "conv2d" in said and "matmul_naive" in said and "66.9 TFLOP/s" in said
    monkeypatch.setattr(command, "cases", lambda: {"matmul_naive": cases()["matmul_naive"]})
    takes = sass.Machine(32, 0, 0, 100.0, {"FFMA": 16, "LDG": 32}, "")
    monkeypatch.setattr(command.sass, "machine", lambda *_: takes)
    assert command.main(["--all"]) == 0
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[:5] == ["matmul_naive<float>", "5.67", "4.00", "1.00", "32.0"]
    assert " ".join(row[-5:]) == "48: 16 FFMA, 32 LDG"


def test_a_gpu_that_cannot_run_it(capsys):
    assert command.main(["product_pipelined", "--gpu", "T4"]) == 0
    assert "the T4 (sm_75) cannot run it: it is for sm_80 and newer" in capsys.readouterr().out


def test_the_gate_names_the_line_that_got_worse():
    held = {"conv.cu conv<float>": {"y[i] = sum;": {"writes": 4.0}, "x[i]": {"reads": 3.0}}}
    now = {"conv.cu conv<float>": {"y[i] = sum;": {"writes": 4.1}, "w[k]": {"reads": 8.0}}}
    worse, better = gate.compare(now, {("conv.cu conv<float>", "w[k]"): "conv.cu:193"}, held)
    assert worse == ["conv.cu:193: conv<float> reads: sectors for each needed 8, before 1: w[k]"]
    assert better == ["conv.cu: conv<float> reads: sectors for each needed 1, before 3"]


def test_a_line_that_is_written_anew_is_compared_with_the_one_that_is_gone():
    def compared(now, before):
        now, before = ({"a.cu a<float>": {t: {"reads": r} for t, r in lines.items()}} for lines in (now, before))
        return tuple(map(len, gate.compare(now, {}, before)))

    assert compared({"x[i]": 4.0}, {"x[j]": 4.0}) == (0, 0)
    assert compared({"x[i]": 4.5}, {"x[j]": 4.0}) == (1, 1)
    assert compared({"x[i]": 2.0}, {"x[j]": 4.0}) == (0, 1)
    assert compared({"x[i]": 4.0, "y[i]": 4.0}, {"x[j]": 4.0}) == (1, 0)
    assert compared({"x[i]": 2.0, "y[i]": 4.0}, {"x[j]": 4.0, "y[j]": 2.0}) == (0, 0)
    assert compared({}, {"x[j]": 4.0}) == (0, 1)


def test_the_gate_finds_what_is_planted(tmp_path):
    table, where = gate.measure(["matmul_double"], without_padding(tmp_path))
    held = {kernel: lines for kernel, lines in gate.known().items() if kernel in table}
    (worse,), _ = gate.compare(table, where, held)
    file, line = line_of(tmp_path / "product.cuh", "= numbers[p];")
    assert worse.startswith(f"{file}:{line}: matmul_double<float> shared: wavefronts for each needed 9, before ")


def test_no_line_of_a_shipped_kernel_is_worse_than_the_table_says():
    table, where = gate.measure()
    shipped = {f"{path.name} {kernel}" for path in FOLDER.glob("*.cu") for kernel in kernels(path)}
    launched = {name.partition("<")[0] for name in table}
    assert shipped == launched, "each kernel needs an op, or a rung, that launches it in kernels/cuda/profiler/cases.py"
    worse, _ = gate.compare(table, where, gate.known())
    assert not worse, "\n".join([*worse, "if that cannot be helped: python -m minicnn.kernels.profile --gate --update"])


@pytest.mark.parametrize("flag", ["--json", "--figure"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path, capsys, flag):
    for file in (tmp_path, tmp_path / "none" / "x.json"):
        assert command.main(["relu", flag, str(file)]) == 1
        told = capsys.readouterr()
        assert f"{flag} {file}: this cannot be written" in told.err
        assert not told.out
