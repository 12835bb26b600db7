"""benchmarks/first_gpu.py and what it shares with gpu.py: files that are kept, tests that are counted, bad input."""

import functools
import json
import os
import subprocess
import sys
import time

import pytest
from checks import needs_compiler
from gpu_benchmark import dying_items, fails, part
from paths import BENCHMARKS

from minicnn.kernels import check

FIRST = BENCHMARKS / "first_gpu.py"
run, sections, tests, report, gate = map(part, ("run", "sections", "tests", "report", "gate"))
steps = part("steps")
GIVEN = functools.partial(type("Given", (), {}))


def call(program, *words, **variables):
    environment = {**os.environ, "MINICNN_EMULATE_GPU": "0", **variables}
    command = [sys.executable, str(program), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def given(tmp_path, minutes=5.0):
    args = GIVEN()
    args.out, args.minutes, args.tiny = tmp_path, minutes, True
    return args


def in_folder(out, gpu):
    return out / gpu / "found.json"


# A run


def run_of(monkeypatch, tmp_path, **items):
    monkeypatch.setitem(sections.SECTIONS, "machine", ("the machine", 1, machine_items))
    for name, each in items.items():
        monkeypatch.setitem(sections.SECTIONS, name, (name, 1, each))
    code = run.run("benchmarks/first_gpu.py", list(items), given(tmp_path), in_folder)
    return code, tmp_path / "nvidia_h200" / "found.json"


def machine_items(tiny):
    return [("gpu", lambda: {"gpu_name": "NVIDIA H200"})]


def good_items(tiny):
    return [("one", dict)]


def test_the_gpu_names_the_folder_and_comes_first(monkeypatch, tmp_path, capsys):
    code, path = run_of(monkeypatch, tmp_path, good=good_items, dying=dying_items)
    result, said = json.loads(path.read_text()), capsys.readouterr().out
    assert code == 1  # a section has failed
    assert [each["status"] for each in result["sections"]] == ["done", "done", "failed"]
    assert result["note"] == "a rehearsal with tiny sizes: no figures of any GPU" in path.with_suffix(".md").read_text()
    assert (
        said.startswith("benchmarks/first_gpu.py: NVIDIA H200, commit ") and "dying: failed: its process died" in said
    )
    assert not list(path.parent.glob("*.part"))


def test_nothing_is_known(monkeypatch, tmp_path, capsys):
    code, _ = run_of(monkeypatch, tmp_path, dying=dying_items)
    assert code == 2 and "nothing could be measured" in capsys.readouterr().err


def slow_items(tiny):
    return [("one", dict), ("two", lambda: time.sleep(0.2) or {}), ("three", lambda: os.kill(os.getppid(), 9))]


def test_a_run_that_is_killed_has_lost_nothing(monkeypatch, tmp_path):
    """Its third measurement kills the program: two rows are in the file."""
    program = tmp_path / "killed.py"
    program.write_text(
        f"import sys; sys.path[:0] = {[str(BENCHMARKS), *sys.path]!r}\n"
        "from pathlib import Path\n"
        "from gpubench import run, sections\n"
        "import test_first_gpu as given\n"
        "if __name__ == '__main__':\n"
        "    sections.OFTEN = 0\n"
        "    sections.SECTIONS['machine'] = ('the machine', 1, given.machine_items)\n"
        "    sections.SECTIONS['slow'] = ('slow', 1, given.slow_items)\n"
        f"    run.run('killed.py', ['slow'], given.given(Path({str(tmp_path)!r})), given.in_folder)\n"
    )
    assert call(program, PYTHONPATH=os.pathsep.join(sys.path)).returncode == -9
    result = json.loads((tmp_path / "nvidia_h200" / "found.json").read_text())
    rows = {row["name"]: row for row in result["sections"][1]["rows"]}
    assert result["sections"][1]["status"] == "running"
    assert "skipped" not in rows["one"] and "skipped" not in rows["two"] and "no time left" in rows["three"]["skipped"]


def failing_items(tiny):
    return [(str(i), fails) for i in range(9)]


def test_the_same_error_again_and_again_ends_a_section(monkeypatch):
    monkeypatch.setattr(sections, "ENOUGH", 2)
    monkeypatch.setitem(sections.SECTIONS, "fake", ("a fake", 1, failing_items))
    result = sections.run_section("fake", True, 60.0)
    assert (result["status"], result["reason"]) == ("failed", "the same error 2 times: ValueError: no good")
    assert [("error_text" in row, row.get("skipped")) for row in result["rows"]] == [(True, None)] * 2 + [
        (False, "given up: ValueError: no good")
    ] * 7


def test_without_git_the_code_itself_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    (tmp_path / "minicnn").mkdir()
    (tmp_path / "minicnn" / "a.py").write_text("1")
    first = run.commit()
    (tmp_path / "minicnn" / "a.py").write_text("2")
    assert first.startswith("files ") and run.commit() != first


# The tests and the gate


LOG = """
tests/ops/test_a.py::test_one[cuda-fast] PASSED [ 25%]
tests/ops/test_a.py::test_two[a b-cuda-fast] FAILED [ 50%]
tests/ops/test_b.py::test_three SKIPPED (no GPU) [ 75%]
tests/ops/test_b.py::test_four ERROR
FAILED tests/ops/test_a.py::test_two[a b-cuda-fast] - AssertionError
"""


def test_tests_are_counted():
    found = tests.counts(LOG)
    assert (found["passed"], found["failed"], found["skips"], found["ok"]) == (1, 2, 1, False)
    assert found["failures"] == ["tests/ops/test_a.py::test_two[a b-cuda-fast]", "tests/ops/test_b.py::test_four"]


def fake_pytest(monkeypatch, codes):
    """pytest that logs a test of the first file it is given, and ends with these codes, one after the other."""
    asked = []

    def pytest(paths, select, log, end):
        asked.append(list(paths))
        with open(log, "a") as out:
            out.write(f"{paths[0]}::test PASSED\n")
        return codes[len(asked) - 1]

    monkeypatch.setattr(tests, "pytest", pytest)
    monkeypatch.setattr(tests, "files", lambda tiny: ["tests/a.py", "tests/b.py", "tests/c.py"])
    return asked


@pytest.mark.parametrize(
    "codes, status, runs",
    [
        ([0], "done", 1),
        ([1], "done", 1),
        ([3, 3, 0], "done", 3),  # after a fault, the files behind
        ([3, None], "partly", 2),
        ([4], "failed", 1),
    ],
)
def test_after_a_fault_the_tests_go_on_behind_it(monkeypatch, tmp_path, codes, status, runs):
    asked, rows = fake_pytest(monkeypatch, codes), {}
    found, reason = tests.Tests("fast").run(True, time.monotonic() + 60, rows, tmp_path)
    assert (found, len(asked), rows["tests"]["passed"]) == (status, runs, runs), reason
    assert asked == [["tests/a.py", "tests/b.py", "tests/c.py"], ["tests/b.py", "tests/c.py"], ["tests/c.py"]][:runs]


def test_without_pytest_the_tests_are_skipped(monkeypatch, tmp_path):
    monkeypatch.setattr(tests.importlib.util, "find_spec", lambda name: None)
    found = tests.Tests("fast").run(True, time.monotonic() + 60, {}, tmp_path)
    assert found == ("skipped", "pytest and hypothesis not installed")


def test_spills_are_faults(monkeypatch):
    usages = [check.Usage("a.cu", "k", real, 90, 40, 1024, spills) for real, spills in (("float", 0), ("double", 8))]
    monkeypatch.setattr(check, "check_file", lambda path, architecture: usages)
    row = gate.compiled(BENCHMARKS / "a.cu", 90)
    assert (row["ok"], row["spilling"], row["kernels"], row["registers"]) == (False, ["k<double>"], 2, 40)
    assert report.fault(row) == "k<double>"


# The programs


def test_batches_fit_the_gpu():
    large, small = (steps.networks(False, memory << 30) for memory in (80, 16))
    assert [n["batch_size"] for n in large] == [128, 128, 256] and small[2]["batch_size"] == 64


@pytest.mark.parametrize("words", [["--minutes", "0"], ["--minutes", "-1"], ["--minutes", "nan"]])
@pytest.mark.parametrize("name", ["first_gpu", "gpu"])
def test_minutes_that_cannot_be(name, words, capsys):
    with pytest.raises(SystemExit) as ended:
        part_of = __import__(name)
        part_of.main(words)
    assert ended.value.code == 2 and "--minutes must be" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    code, _ = run_of(monkeypatch, tmp_path / "file", good=good_items)
    error = capsys.readouterr().err
    assert code == 2 and "error: --out: nothing can be written to" in error and "Traceback" not in error


def test_without_a_gpu_it_says_so_in_one_line(tmp_path):
    done = call(FIRST, "--out", tmp_path)
    if done.returncode != 2:
        pytest.skip("there is a GPU")
    assert done.stderr.count("\n") == 1 and "device 'cuda'" in done.stderr and "--tiny" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs_compiler
def test_a_rehearsal(tmp_path):
    done = call(FIRST, "--tiny", "--out", tmp_path, "--minutes", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name == "rehearsal_emulated"
    assert {path.name for path in folder.iterdir()} >= {"first_gpu.json", "first_gpu.md", "tests_fast.txt"}
    assert json.loads((folder / "first_gpu.json").read_text())["emulated"] is True
