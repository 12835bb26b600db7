"""benchmarks/gpu.py without a GPU: its cases and checks, its sections on the emulated GPU, what failures cost."""

import functools
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from checks import needs_compiler
from gpu_benchmark import (
    PROGRAM,
    FakeEvents,
    broken_items,
    dying_items,
    fake_items,
    hanging_items,
    missing_items,
    named_items,
    part,
    result_of,
    table_rows,
)
from test_ladder import NOT_ON_GPUS, reference_functions

from minicnn.kernels.cuda import hopper, launch, split, winograd
from minicnn.kernels.cuda.source import FOLDER, kernels

sizes, checking, clock = map(part, ("sizes", "checking", "clock"))
sections, timing, report = map(part, ("sections", "timing", "report"))
TINY = True


@pytest.fixture
def emulated(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")
    monkeypatch.setenv("MINICNN_SYNC", "0")  # which a section's process sets: here it is put back afterwards


# Cases


@pytest.mark.parametrize("scale", list(sizes.LISTS))
def test_every_op_has_a_case(scale):
    found = {case.reference for case in sizes.LISTS[scale]()}
    assert {each.values[0] for each in reference_functions() if each.id not in NOT_ON_GPUS} <= found


@pytest.mark.parametrize("scale", list(sizes.LISTS))
def test_the_cases_have_different_names(scale):
    names = [case.name for case in sizes.LISTS[scale]()]
    assert len(set(names)) == len(names)


def test_bytes_are_of_each_input_once_and_of_each_result_once():
    def size_of(op, **where):
        case = next(c for c in sizes.tiny() if c.op == op and all(part in c.label for part in where.values()))
        made = case.make()
        return timing.least_bytes(case, made, case.reference(*made.values()))

    assert size_of("residual_add_forward") == 4 * 10 * 3
    assert size_of("relu_forward", label="in place") == 4 * 10 * 2
    assert size_of("max_pool2d_forward_and_winners", label="2x3") == 4 * 40 + (4 + 1) * 2 * 3 * 5  # a winner is a byte
    assert size_of("batch_norm_grad_x", label="evaluation") == 4 * (12 + 2 + 2 + 12)  # neither x nor the means
    assert size_of("sgd_update", label="momentum") == 4 * 7 * 5
    assert size_of("adam_update", label="amsgrad") == 4 * 7 * 9


def test_a_case_makes_the_same_arguments_again_and_never_zeros():
    case = next(case for case in sizes.tiny() if case.op == "linear_forward")
    first, second = case.make().values(), case.make().values()
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b) and a.dtype == np.float32 and (a != 0).all()


def test_an_argument_given_twice_is_one_array_wherever_it_is():
    case = next(case for case in sizes.tiny() if case.label.endswith("in place"))
    made = case.make(np.copy)
    assert made["x"] is made["out"]


# The checks


@needs_compiler
def test_every_kernel_is_launched_and_right(emulated, monkeypatch):
    launched, call = set(), launch.Kernel.launch

    def noted(self, *args, **kwargs):
        launched.add((self.path.name, self.name))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(launch.Kernel, "launch", noted)
    rows = {name: function() for name, function in checking.items("fast", TINY)}
    for tile in split.TILES:  # which sizes decide about: here the tile is given, and a few thread blocks are many
        with monkeypatch.context() as given:
            given.setattr(split, "TILES", (tile,))
            given.setattr(split, "BUSY", 1)
            given.setattr(winograd, "pays", lambda *sizes: True)
            for case in part("cases").convolutions("3x3", (1, 8, 8, 8), (8, 8, 3, 3), 1, 1):
                rows[case.op, tile] = checking.check(case, "float32", "fast")
                exact = checking.check(case, "float64", "fast")  # without Winograd's algorithm
                assert exact["ok"], (case.op, tile, exact)
    monkeypatch.setattr(hopper, "SHORTEST", 1)
    for case in part("cases").ladder(8, 8, 200):
        if "of_transposed" in case.op:  # in parts, since the sums are long
            rows[case.op] = checking.check(case, "float32", "fast")
    assert {name: row for name, row in rows.items() if not row["ok"]} == {}
    assert {(path.name, name) for path in FOLDER.glob("*.cu") for name in kernels(path)} - launched == set()


def relu_case():
    return next(case for case in sizes.tiny() if case.op == "relu_forward")


CALLS = itertools.count()
WRONG = {
    "a wrong number": lambda x, out: np.maximum(x, np.where(x == x.max(), x * np.float32(1.001), 0)),
    "another dtype": lambda x, out: np.maximum(x, 0).astype(np.float64),
    "another shape": lambda x, out: np.maximum(x, 0)[1:],
    "does not repeat": lambda x, out: np.maximum(x, 0) * np.float32(1 + 1e-6 * next(CALLS)),
}


@pytest.mark.parametrize("how", list(WRONG))
def test_a_wrong_kernel_is_found(emulated, how):
    row = checking.check(relu_case()._replace(kernel=WRONG[how]), "float32", "fast")
    assert row["ok"] is False and (how in row["faults"] or "error" in row["faults"][0])
    assert "WRONG" in report.verdict([row]) and row["faults"][0] in report.verdict([row])
    right = relu_case()._replace(kernel=lambda x, out: np.maximum(x, 0))
    assert checking.check(right, "float32", "fast")["ok"] is True


@pytest.mark.parametrize("name, limit", [("relu", 1e-4), ("relu in tf32", 2e-3), ("relu in bfloat16", 2e-2)])
def test_short_formats_are_allowed_their_rounding(emulated, name, limit):
    for error, ok in ((0.9 * limit, True), (1.1 * limit, False)):
        kernel = lambda x, out: np.maximum(x, 0) * np.float32(1 + error)  # noqa: B023, E731
        row = checking.check(relu_case()._replace(op=name, kernel=kernel), "float32", "fast")
        assert (row["ok"], row["tolerance"]) == (ok, limit)


# Sections


def section_rows(name):
    """Of a section, in this process."""
    _, _, items = sections.SECTIONS[name]
    found = items(TINY)
    assert found
    return [sections.attempt(function) | {"name": row} for row, function in found]


@needs_compiler
@pytest.mark.parametrize("name", ["time_cuda", pytest.param("steps_minicnn", marks=pytest.mark.slow), "check_timed"])
def test_sections_of_our_kernels_run_on_the_emulated_gpu(emulated, name):
    rows = section_rows(name)
    assert [row for row in rows if "error_text" in row or "skipped" in row] == []
    assert not any(row.get("ms") for row in rows)  # nothing is timed


@pytest.mark.parametrize("name", ["time_torch", pytest.param("steps_torch", marks=pytest.mark.slow), "steps_compiled"])
def test_sections_of_pytorch_run_without_a_gpu(torch, torchvision, emulated, name):
    rows = section_rows(name)
    assert [row for row in rows if "error_text" in row] == []
    assert {row["skipped"].partition(":")[0] for row in rows if "skipped" in row} <= {"graph", "compiled"}


@pytest.mark.slow
@needs_compiler
def test_the_figures_of_all_sections_meet_in_the_table(torch, torchvision, emulated, monkeypatch):
    """With a clock that counts its own readings, in place of none."""

    class Readings(FakeEvents):
        def read(self):
            self.now += 1
            return self.now

    monkeypatch.setattr(clock, "NoClock", lambda: Readings().clock())
    for name, number in (("WARM_UP", 0), ("FEWEST", 2), ("MOST", 2)):
        monkeypatch.setattr(clock, name, number)
    some = [case for case in sizes.tiny() if " in " not in case.op or case.op.endswith("tf32")]
    monkeypatch.setitem(sizes.LISTS, "tiny", lambda: some)
    monkeypatch.setattr(part("steps"), "PRECISIONS", {"tf32": "TF32"})
    one = {"model": "resnet18", "batch_size": 2, "size": 4}
    monkeypatch.setattr(part("steps"), "networks", lambda tiny, memory: [one])
    one_way = functools.partial(part("steps").items_of_torch, part("steps").WAYS[1:2])
    monkeypatch.setitem(sections.SECTIONS, "steps_torch", ("", 1, one_way))
    rows = {}
    for name in ("time_cuda", "time_torch", "steps_minicnn", "steps_torch"):
        rows[name] = section_rows(name)
        assert not any("error_text" in row for row in rows[name])
    rows["time_numba"] = [row for row in rows["time_cuda"] if row["name"] != "copy"]
    text = report.table(result_of(**rows))
    products = [case for case in some if case.operations]
    table = {row[0]: row for row in table_rows(text, "Bound by arithmetic")}
    assert set(table) == {case.name for case in products} and not any("-" in row for row in table.values())
    assert {row[0] for row in table_rows(text, "Bound by memory")} == {row["name"] for row in rows["time_cuda"]} - set(
        table
    )
    steps = table_rows(text, "Training steps")
    assert [row[3] for row in steps] == ["100 %"] * 2 and "minicnn, tf32" in steps[0][0]


@needs_compiler
def test_pytorch_multiplies_and_convolves_what_our_kernels_do(torch, emulated):
    for case in sizes.tiny():
        if case.operations and case.kernel is None and not case.narrow:
            ours = case.reference(*case.make().values())
            given = timing.arguments_for_torch(torch, "cpu", case, "NCHW", "float32")
            theirs = timing.TWINS[case.op](torch, *given)
            assert checking.relative_error(theirs.numpy(), ours) < 1e-5, case.name


def test_without_a_gpu_a_section_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("MINICNN_EMULATE_GPU", raising=False)
    result = sections.run_section("check_cuda", TINY, 30.0)
    if result["rows"]:
        pytest.skip("there is a GPU")
    assert result["status"] == "skipped"
    assert result["rows"] == [] and "device 'cuda'" in result["reason"]


def letter_items(tiny):
    return [(name, functools.partial(dict, value=name)) for name in "abc"]


def run_fake(monkeypatch, items, seconds=60.0):
    """A section of those items, in processes."""
    monkeypatch.setitem(sections.SECTIONS, "fake", ("a fake", 1, items))
    return sections.run_section("fake", TINY, seconds)


def test_a_measurement_that_kills_its_process_costs_no_other(monkeypatch):
    result = run_fake(monkeypatch, fake_items)
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == ["one", "dies", "fails", "two"]
    assert (rows["one"]["value"], rows["two"]["value"]) == (1, 2)
    assert "died" in rows["dies"]["error_text"]
    assert rows["fails"]["error_text"] == "ValueError: no good" and "no good" in rows["fails"]["traceback"]
    assert result["status"] == "done" and report.wrong([result])


@pytest.mark.slow
def test_a_measurement_that_hangs_is_stopped_and_what_there_is_no_time_for_is_named(monkeypatch):
    result = run_fake(monkeypatch, hanging_items, seconds=15.0)
    assert (result["status"], result["reason"]) == ("partly", "no time left for 2 rows")
    assert result["seconds"] < 25
    one, hangs, three = result["rows"]
    assert (one["name"], one["value"]) == ("one", 1)
    assert (hangs["name"], hangs["skipped"]) == ("hangs", "no time left: stopped in the middle of this")
    assert (three["name"], three["skipped"]) == ("three", "no time left")


def test_a_row_keeps_its_name(monkeypatch):
    assert [row["name"] for row in run_fake(monkeypatch, named_items)["rows"]] == ["gpu"]


@pytest.mark.parametrize(
    "items, status, reason",
    [
        (broken_items, "failed", "RuntimeError: no CUDA-capable device"),
        (dying_items, "failed", "its process died"),
        (missing_items, "skipped", "No module named 'minicnn.nothing'"),
    ],
)
def test_a_section_that_cannot_begin_says_why(monkeypatch, items, status, reason):
    result = run_fake(monkeypatch, items)
    assert (result["status"], result["reason"], result["rows"]) == (status, reason, [])


@pytest.mark.parametrize("used, given", [(0.0, [25, 100]), (40.0, [25, 60])])
def test_no_section_may_outlast_the_program(monkeypatch, used, given):
    """And time that is left over goes to the sections behind."""
    asked, now = [], [0.0]

    def run(name, tiny, seconds, folder, watch):
        asked.append(round(seconds))
        now[0] += used
        return {"title": name, "status": "done", "reason": "", "seconds": 0.0, "rows": []}

    for name, weight in (("first", 1), ("second", 3)):
        monkeypatch.setitem(sections.SECTIONS, name, (name, weight, None))
    monkeypatch.setattr(sections, "run_section", run)
    monkeypatch.setattr(sections.time, "monotonic", lambda: now[0])
    assert len(sections.run_all(["first", "second"], TINY, 100, None, lambda done: None)) == 2
    assert asked == given


def test_time_that_is_left_over_is_for_what_came_too_late(monkeypatch):
    """The first section again, in the time that the second did not use; not pytest, which would begin anew."""
    asked, now = [], [0.0]

    def run(name, tiny, seconds, folder, watch, before=None):
        asked.append((name, round(seconds), before and before["rows"]))
        now[0] += {"first": 25.0, "second": 15.0, "tests": 10.0}[name]
        status = "partly" if before is None and name != "second" else "done"
        return {"title": name, "status": status, "reason": "", "seconds": 0.0, "rows": [{"name": name}]}

    for name, weight, items in (("first", 1, None), ("second", 2, None), ("tests", 1, sections.Tests("fast"))):
        monkeypatch.setitem(sections.SECTIONS, name, (name, weight, items))
    monkeypatch.setattr(sections, "run_section", run)
    monkeypatch.setattr(sections.time, "monotonic", lambda: now[0])
    seen = []
    done = sections.run_all(["first", "second", "tests"], TINY, 100, None, seen.append)
    assert asked == [("first", 25, None), ("second", 50, None), ("tests", 60, None), ("first", 50, [{"name": "first"}])]
    assert [section["status"] for section in done] == ["done", "done", "partly"] and seen[-1] is done


def test_a_section_that_goes_on_measures_what_came_too_late(monkeypatch):
    result = run_fake(monkeypatch, letter_items)
    assert [row["value"] for row in result["rows"]] == ["a", "b", "c"]
    result["rows"][1] = {"name": "b", "skipped": "no time left"}
    result["rows"][2] = {"name": "c", "value": "kept", "seconds": 1.0}
    again = sections.run_section("fake", TINY, 60.0, before=result)
    assert (again["status"], [row["value"] for row in again["rows"]]) == ("done", ["a", "b", "kept"])
    assert again["seconds"] > result["seconds"]


def test_a_section_without_any_time_is_skipped():
    result = sections.run_section("machine", TINY, 0.0)
    assert (result["status"], result["reason"], result["rows"]) == ("skipped", "no time left", [])


# The program


def run_program(tmp_path, *words, emulate):
    environment = {**os.environ, "MINICNN_EMULATE_GPU": str(int(emulate))}
    command = [sys.executable, str(PROGRAM), "--out", str(tmp_path), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
@needs_compiler
def test_the_program_writes_its_json_and_its_table(tmp_path):
    done = run_program(tmp_path, "--tiny", "--sections", "machine", "check_numba", "time_numba", emulate=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "gpu_emulated.json").read_text())
    assert result["note"].endswith("; emulated: no times") and result["emulated"]
    assert [section["section"] for section in result["sections"]] == ["machine", "check_numba", "time_numba"]
    rows = result["sections"][1]["rows"]
    assert rows and all(row["ok"] for row in rows if "skipped" not in row)
    table = (tmp_path / "gpu_emulated.md").read_text()
    assert "emulated: no times" in table and "## Correctness" in table and "## Bound by" not in table
    assert table in done.stdout


def test_without_a_gpu_the_program_says_so(tmp_path):
    done = run_program(tmp_path, "--sections", "check_cuda", emulate=False)
    if done.returncode == 0:
        pytest.skip("there is a GPU")
    assert done.returncode == 2
    assert "nothing could be measured" in done.stderr and "device 'cuda'" in done.stdout


def test_real_sizes_are_too_much_for_the_emulator(tmp_path):
    done = run_program(tmp_path, emulate=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "--tiny" in done.stderr
