"""Which tests run a line of minicnn? Each test file is run once under coverage, the programs it starts included.

A line is known by the function it stands in and by its text, so that a map outlives changes elsewhere in the file. As a
plugin of pytest (``-p line_map``) this file tells coverage, and the programs that a test starts, which test it is.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path(tempfile.gettempdir()) / "minicnn-line-map"
LEFT_OUT = ("mutations", "random_mutants")  # tests of wrong versions; they look for lines by their text
SETTINGS = """[run]
parallel = true
data_file = {data}
source = {root}/minicnn,{root}/kernels/cpu
omit = {root}/minicnn/ops/*
context = ${{MINICNN_TEST-}}
"""


def places(text):
    """For each line of a program, "function: its text" in a function's body, "function:" in its head, else ":"."""
    lines = text.splitlines()
    found = [":"] * len(lines)

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            name = f"{inside}.{child.name}" if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else inside
            if isinstance(child, ast.FunctionDef):
                for number in range(child.lineno - 1, child.end_lineno):
                    is_head = number < child.body[0].lineno - 1
                    found[number] = f"{name}:" if is_head else f"{name}: {lines[number].strip()}"
            walk(child, name)

    walk(ast.parse(text), "")
    return found


def environment(root, cache):
    """The variables with which the checkout at `root` is the one that is imported, and keeps its files in `cache`."""
    paths = [str(root), str(root / "tests/mutations"), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "MINICNN_CACHE": str(cache)}


# Making the map


def make(copy, workers):
    """Run the test files that are not in the map as they stand now, in a checkout that is a copy of this one."""
    try:
        import coverage  # noqa: F401
    except ImportError:
        raise SystemExit("the map of lines needs the package coverage; pip install coverage") from None
    FOLDER.mkdir(exist_ok=True)
    start = FOLDER / "start"  # Python imports sitecustomize.py from its path, in each process
    start.mkdir(exist_ok=True)
    (start / "sitecustomize.py").write_text("import coverage\ncoverage.process_startup()\n")
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if not any(w in path.stem for w in LEFT_OUT)]
    files = [path for path in files if _known(path) is None]
    print(f"running {len(files)} test files under coverage", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda path: _run(path, copy, start), sorted(files, key=lambda p: -p.stat().st_size)))


def _run(path, copy, start):
    with tempfile.TemporaryDirectory() as folder:
        settings, report = Path(folder) / "settings", Path(folder) / "report"
        settings.write_text(SETTINGS.format(data=Path(folder) / "data", root=copy))
        variables = environment(copy, FOLDER / "cache")
        variables["PYTHONPATH"] = f"{start}{os.pathsep}{variables['PYTHONPATH']}"
        variables |= {"COVERAGE_PROCESS_START": str(settings), "MINICNN_REPORT": str(report)}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "line_map",
            path.relative_to(ROOT).as_posix(),
        ]
        done = subprocess.run(command, cwd=copy, env=variables, capture_output=True, text=True)
        if done.returncode not in (0, 1, 5):
            print(f"{path.name} cannot be run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}", flush=True)
            return
        seconds, failed = json.loads(report.read_text())
        for test in failed:
            print(f"fails, and is left out: {test}", flush=True)
        lines = _lines(settings, copy, {test: i for i, test in enumerate(seconds)})
        content = {"digest": _digest(path), "seconds": seconds, "failed": failed, "lines": lines}
        _file(path).write_text(json.dumps(content))
        print(f"{path.name}: {len(seconds)} tests, {sum(seconds.values()):.0f} s", flush=True)


def _lines(settings, copy, numbers):
    """{file: {place: [numbers of the tests]}}"""
    import coverage

    measured = coverage.Coverage(config_file=str(settings))
    measured.combine()
    data, found = measured.get_data(), {}
    for file in data.measured_files():
        path = Path(file).relative_to(copy)
        names = places((copy / path).read_text())
        lines = found.setdefault(path.as_posix(), {})
        for line, tests in data.contexts_by_lineno(file).items():
            if ": " in names[line - 1] and (tests := {numbers[test] for test in tests if test in numbers}):
                lines[names[line - 1]] = sorted(tests.union(lines.get(names[line - 1], ())))
    return found


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file(path):
    return FOLDER / f"{path.stem}.json"


def _known(path):
    """What the map says of this test file; None if it has changed since."""
    try:
        known = json.loads(_file(path).read_text())
    except FileNotFoundError:
        return None
    return known if known["digest"] == _digest(path) else None


# In pytest


class Tests:
    """Times the tests, and says which one is running."""

    def __init__(self, report):
        self.report, self.seconds, self.failed, self.skipped = report, {}, set(), set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        import coverage

        os.environ["MINICNN_TEST"] = item.nodeid
        coverage.Coverage.current().switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report):
        if report.outcome == "skipped":
            self.skipped.add(report.nodeid)
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self):
        seconds = {test: s for test, s in self.seconds.items() if test not in self.skipped}
        Path(self.report).write_text(json.dumps([seconds, sorted(self.failed)]))


def pytest_configure(config):
    config.pluginmanager.register(Tests(os.environ["MINICNN_REPORT"]))


# Reading the map


class LineMap:
    """The map of all test files; says which of them have changed since it was made."""

    def __init__(self):
        self.seconds, self.tests = {}, {}  # of a test; {file: {place: tests}}
        for path in sorted((ROOT / "tests").rglob("test_*.py")):
            if any(word in path.stem for word in LEFT_OUT):
                continue
            if (known := _known(path)) is None:
                print(f"not in the map as it stands: {path.name}; --map runs it")
                continue
            tests, failed = list(known["seconds"]), set(known["failed"])
            self.seconds |= {test: s for test, s in known["seconds"].items() if test not in failed}
            for file, lines in known["lines"].items():
                for place, numbers in lines.items():
                    found = self.tests.setdefault(file, {}).setdefault(place, set())
                    found.update(tests[n] for n in numbers if tests[n] not in failed)

    def of_lines(self, file, names):
        """The tests that run one of these places."""
        lines = self.tests.get(file, {})
        return set().union(*(lines.get(name, ()) for name in names))

    def of_function(self, file, name):
        """The tests that run anything of the function of this place."""
        function, lines = name.partition(":")[0] + ":", self.tests.get(file, {})
        return set().union(*(tests for place, tests in lines.items() if place.startswith(function)))

    def of_file(self, file):
        """The tests that run anything of it."""
        return set().union(*self.tests.get(file, {}).values())
