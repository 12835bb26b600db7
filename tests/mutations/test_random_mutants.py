"""Mutants are programs with one mistake, and the command tells those that a test rejects from those that survive."""

import json
import textwrap
from pathlib import Path

import line_map
import mutants
import pytest
import random_mutants
from mutations import Mutation, read

EXAMPLES = """
a < b             a <= b                comparison
a is not b        a is b                comparison
a not in b        a in b                comparison
(a) == (b)        (a) != (b)            comparison
a + b * c         a - b * c             arithmetic
a // b            a * b                 arithmetic
a and b or c      a or b or c           and, or
not (a or b)      (a or b)              dropped sign
-a                a                     dropped sign
3                 4                     constant
0.5               1.0                   constant
True              False                 constant
min(a, b)         max(a, b)             opposite
f(a, b, 1)        f(b, a, 1)            swapped arguments
f((a), b)         f((b), a)             swapped arguments
f(a, b=2, c=d)    f(a, c=d)             dropped keyword
f(b=a, c=d)       f(c=d)                dropped keyword
(a, b[0])         (a, b[1])             constant
a[b : c + 1]      a[b : (c + 1) - 1]    slice
a if b else c     a if not b else c     condition
[a for a in b if c]     [a for a in b if True]     condition
"""
PROGRAM = '''
"""A docstring with 3 < 4."""

__all__ = ["f"]


@decorated(1)
def f(a: Literal[2] = 5, *, b=None) -> Literal[3]:
    """Another, 1 + 1."""
    a = a or b
    self.kept = a  # é
    if a > b:
        raise ValueError(f"{a + b} is more than {min(a, b)}")
    a += "text" + b
    call(a, text="message")
    return a
'''
CHANGED = """
    5                                  constant
    5                                  constant
    a = a or b                         dropped assignment
    or                                 and, or
    self.kept = a                      dropped assignment
    a > b                              condition
    >                                  comparison
    >                                  comparison
    raise ValueError(f"{a + b} is more than {min(a, b)}")     dropped raise
    a += "text" + b                    dropped assignment
    +                                  arithmetic
    call(a, text="message")            dropped call
"""


def table(text):
    return [tuple(part.strip() for part in line.strip().split("   ") if part) for line in text.strip().splitlines()]


@pytest.mark.parametrize("before, after, kind", table(EXAMPLES))
def test_what_becomes_of_an_expression(before, after, kind):
    assert (kind, after) in [(change.kind, mutants.applied(before, change)) for change in mutants.changes(before)]


def test_what_of_a_program_is_changed():
    """Not its docstrings, messages, annotations, decorators and names with underscores."""
    found = sorted(mutants.changes(PROGRAM), key=lambda change: (change.start, -change.end))
    data = PROGRAM.encode()
    assert [(data[c.start : c.end].decode(), c.kind) for c in found] == table(CHANGED)
    assert all(mutants.is_program(PROGRAM, change) for change in found)


def test_no_program_and_the_same_one():
    change = mutants.Change("", 0, 1, b"", 1, 1)
    assert not mutants.is_program("a + b", change)
    assert not mutants.is_program("a + b", change._replace(new=b"(a)"))
    assert mutants.is_program("a + b", change._replace(new=b"b"))


def test_a_place_is_a_function_and_a_text():
    text = "x = 1\nclass A:\n    def f(self,\n          a=1):\n        return a\n\ndef g(): return 1\n"
    assert line_map.places(text) == [":", ":", ".A.f:", ".A.f:", ".A.f: return a", ":", ".g: def g(): return 1"]


@pytest.mark.parametrize("folder", random_mutants.FOLDERS)
def test_a_seed_draws_the_same_mutants(folder):
    first, again, others = (random_mutants.draw(folder, seed) for seed in (1, 1, 2))
    first, again, others = ([next(source) for _ in range(10)] for source in (first, again, others))
    assert first == again and first != others
    for mutant in first:
        assert mutant.file.startswith(f"{folder}/") and "/ops/" not in mutant.file
        lines = (random_mutants.ROOT / mutant.file).read_text().splitlines()
        assert lines[mutant.line - 1 :][: len(mutant.old)] == mutant.old != mutant.new


# The command, on a package of one file


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A checkout of its own, its map in another folder."""
    root, folder = tmp_path / "root", tmp_path / "map"
    write(
        root / "minicnn/sums.py",
        """
        def share(a, total):
            if total == 0:
                return 0
            return a / total


        def until(n):
            count = 0
            while count < n:
                count += 1
            return count


        def seconds():
            return 60
        """,
    )
    write(root / "minicnn/__init__.py", "")
    write(root / "kernels/__init__.py", "")
    write(
        root / "tests/test_sums.py",
        """
        from minicnn.sums import seconds, share, until

        def test_share():
            assert share(1, 2) == 0.5

        def test_until():
            assert until(3) == 3

        def test_seconds():
            assert seconds() > 0
        """,
    )
    (folder / "cache").mkdir(parents=True)
    write(root / "tests/equivalent_mutants.txt", "")
    for module in (random_mutants, line_map):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(line_map, "FOLDER", folder)
    monkeypatch.setattr(random_mutants, "read", lambda name: [])
    lines = {
        ".share: if total == 0:": [0],
        ".share: return a / total": [0],
        ".until: count = 0": [1],
        ".until: while count < n:": [1],
        ".until: count += 1": [1],
        ".until: return count": [1],
        ".seconds: return 60": [2],
    }
    tests = [f"tests/test_sums.py::test_{name}" for name in ("share", "until", "seconds")]
    known = {"seconds": dict.fromkeys(tests, 0.01), "failed": [], "lines": {"minicnn/sums.py": lines}}
    known["digest"] = line_map._digest(root / "tests/test_sums.py")
    (folder / "test_sums.json").write_text(json.dumps(known))
    return root


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def mutant(root, old, new):
    lines = (root / "minicnn/sums.py").read_text().splitlines()
    line = next(i for i, line in enumerate(lines, 1) if old in line)
    changed = lines[line - 1].replace(old, new)
    return random_mutants.Mutant("minicnn/sums.py", "kind", line, [lines[line - 1]], [changed], line, line)


@pytest.mark.slow
@pytest.mark.parametrize(
    "old, new, kind, text",
    [
        ("a / total", "a * total", "rejected", "FAILED tests/test_sums.py::test_share"),
        ("return 0", "return 1", "survives", "1 tests"),  # by the tests of the function, as none runs the line
        ("count += 1", "pass", "hangs", "after 5 s"),
        ("a / total", "a / totl", "no program", "NameError"),
    ],
)
def test_what_becomes_of_a_mutant(small, old, new, kind, text):
    patience = 5 if kind == "hangs" else 60
    found = random_mutants.outcome(mutant(small, old, new), line_map.LineMap(), most=10, patience=patience)
    assert found.kind == kind and text in found.text, found
    assert old in (small / "minicnn/sums.py").read_text(), "the checkout itself was changed"


def test_survivors_are_shown_counted_and_tried_again(small, capsys, monkeypatch):
    survivor, rejected = mutant(small, "return 60", "return 61"), mutant(small, "a / total", "a - total")
    monkeypatch.setattr(random_mutants, "draw", lambda folder, seed: iter([survivor, rejected, survivor]))
    assert random_mutants.main(["--count", "2", "--folder", "minicnn", "--seed", "5"]) == 1
    out = capsys.readouterr().out
    assert "-    return 60\n+    return 61" in out
    expected = "2 mutants, seed 5: minicnn 2 (1 rejected, 0 hung, 0 equivalent, 1 survived)"
    assert out.splitlines()[-1] == expected

    source = small / "minicnn/sums.py"
    source.write_text(f"# a line more\n{source.read_text()}")
    assert random_mutants.main(["--again"]) == 1
    assert f"minicnn/sums.py:{survivor.line + 1} (kind): survives" in capsys.readouterr().out

    listed = Mutation("as right", "minicnn/sums.py", "return 60", "return 61", "same")
    monkeypatch.setattr(random_mutants, "read", lambda name: [listed])
    assert random_mutants.main(["--again"]) == 0
    out = capsys.readouterr().out
    assert "equivalent, as right" in out and "1 equivalent, 0 survived" in out


def test_a_changed_test_file_is_not_in_the_map(small, capsys):
    assert line_map.LineMap().seconds and not capsys.readouterr().out
    with (small / "tests/test_sums.py").open("a") as file:
        file.write("\n")
    assert not line_map.LineMap().seconds
    assert "test_sums.py; --map runs it" in capsys.readouterr().out


def test_tests_of_the_files_name_come_first_then_the_shortest():
    tests = line_map.LineMap.__new__(line_map.LineMap)
    file = "minicnn/console.py"
    text = (random_mutants.ROOT / file).read_text()
    (name, *_) = [name for name in line_map.places(text) if name.startswith(".say:")][1:]
    seconds = {"test_a.py::long": 3, "test_a.py::short": 1, "test_console.py::own[2]": 9, "test_console.py::own[1]": 8}
    tests.seconds = {f"tests/{test}": duration for test, duration in seconds.items()}
    tests.tests = {file: {name: set(tests.seconds)}}
    line = line_map.places(text).index(name) + 1
    one = random_mutants.Mutant(file, "", line, [""], [""], line, line)
    order = ["test_console.py::own[1]", "test_console.py::own[2]", "test_a.py::short", "test_a.py::long"]
    chosen, _, left_out = random_mutants.tests_for(one, tests, most=100)
    assert chosen == [f"tests/{test}" for test in order] and left_out == 0
    chosen, seconds, left_out = random_mutants.tests_for(one, tests, most=18)
    assert chosen == [f"tests/{test}" for test in order[:3]] and seconds == 18 and left_out == 1


def test_a_file_that_is_compiled_has_the_tests_of_those_that_import_it():
    assert "kernels/cpu/gemm/matmul.py" in random_mutants.importers({"kernels/cpu/gemm/micro_kernel.py"})


def test_equivalent_mutants_are_still_there():
    for one in read("equivalent_mutants.txt"):
        text = (Path(random_mutants.ROOT) / one.file).read_text()
        assert all(line.strip() in text for line in one.old.splitlines()), f"no more in {one.file}, so not here: {one}"
        assert one.check in ("same", "speed"), "numbers are the same, or only the time differs"
