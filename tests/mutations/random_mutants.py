"""Is any line of minicnn without a test that needs it? Wrong versions made at random, and the tests that run the line.

    python tests/mutations/random_mutants.py --map               once, and after changes: which tests run which lines
    python tests/mutations/random_mutants.py --count 150 --seed 0   2/3 minicnn/ without ops/, 1/3 kernels/cpu/
    python tests/mutations/random_mutants.py --again               those that survived last time, on the code of today

Each mutant is a copy of this checkout with one small mistake in it (mutants.py). The tests that run the changed line
are run on it, those of the file's own name first, then the shortest, until one fails: the mutant is rejected. So it
is if it takes many times the usual time. Code that Numba compiles is not seen line by line; there it is the tests that
run the file, or the files that import it. A mutant that no test rejects is shown, as a diff, and the exit code is 1.

The map (line_map.py) needs the package coverage; it lies in the system's temporary folder. equivalent_mutants.txt holds
mutants that were looked at and are as right as the original, each with the reason; they are not run.
"""

import argparse
import collections
import contextlib
import hashlib
import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import line_map
import mutants
from mutations import read

ROOT = Path(__file__).parents[2]
FOLDERS = {"minicnn": ("minicnn", "minicnn/ops"), "kernels/cpu": ("kernels/cpu", None)}  # name: (folder, but not this)
LAST, REJECTED = "survivors.json", "rejected.json"  # in the folder of the map
MEMORY = 12 << 30  # bytes of address space for each process of a mutant
SKIPPED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "runs")
NO_PROGRAM = re.compile(r"^E +\S*(NameError|UnboundLocalError|SyntaxError|TypingError|LoweringError)\b", re.MULTILINE)


class Mutant(NamedTuple):
    """In a file, the lines `old` from number `line` on become `new`; they are part of a statement of these lines."""

    file: str
    kind: str
    line: int
    old: list
    new: list
    first: int
    last: int

    def __str__(self):
        return f"{self.file}:{self.line} ({self.kind})"

    def diff(self):
        return "\n".join([f"--- {self.file}", *(f"-{line}" for line in self.old), *(f"+{line}" for line in self.new)])


class Outcome(NamedTuple):
    kind: str  # rejected, hangs, survives, equivalent, no program
    text: str


# Drawing


def draw(folder, seed):
    """Mutants of the files of a folder, without end: a line at random, then one of its changes."""
    rng, below = random.Random(f"{seed} {folder}"), FOLDERS[folder]
    places = []
    for path in sorted((ROOT / below[0]).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        if not file.startswith(("minicnn/kernels", below[1] or "minicnn/kernels")):
            text = path.read_text()
            lines = collections.defaultdict(list)
            for change in mutants.changes(text):
                lines[text.encode()[: change.start].count(b"\n")].append(change)
            places += [(file, text, found) for found in lines.values()]
    while places:
        file, text, found = places.pop(rng.randrange(len(places)))
        change = rng.choice(found)
        if mutants.is_program(text, change):
            yield mutant_of(file, text, change)


def mutant_of(file, text, change):
    old, new = text.splitlines(), mutants.applied(text, change).splitlines()
    above = _alike(old, new)
    old, new = old[above:], new[above:]
    below = _alike(old[::-1], new[::-1])
    old, new = old[: len(old) - below], new[: len(new) - below]
    return Mutant(file, change.kind, above + 1, old, new, change.first, change.last)


def _alike(lines, others):
    """With how many equal lines they begin."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(lines, others, strict=False)))


def equivalent(mutant, listed):
    """The entry of the list that is this mutant; None if there is none."""
    changed = (mutant.file, _stripped(mutant.old), _stripped(mutant.new))
    return next((one for one in listed if (one.file, _stripped(one.old), _stripped(one.new)) == changed), None)


def _stripped(lines):
    return [line.strip() for line in (lines.splitlines() if isinstance(lines, str) else lines)]


# Choosing tests


def tests_for(mutant, tests, most):
    """The tests to run, the likeliest first, of `most` seconds in all; the number of those left out."""
    places = line_map.places((ROOT / mutant.file).read_text())[mutant.first - 1 : mutant.last]
    stems, files, seen = {Path(mutant.file).stem}, {mutant.file}, set()
    found = tests.of_lines(mutant.file, places) or tests.of_function(mutant.file, places[0])
    if not found:  # outside of functions, or compiled
        while files:
            found = found or set().union(*map(tests.of_file, files))
            stems |= {Path(file).stem for file in files}
            seen |= files
            files = importers(files) - seen if mutant.file.startswith("kernels") or not found else set()
    own = {f"test_{prefix}{Path(mutant.file).stem}.py" for prefix in ("", "cpu_")}
    near = {f"test_{prefix}{stem}.py" for stem in stems for prefix in ("", "cpu_")}
    variants, order = collections.Counter(), []
    for test in sorted(found, key=lambda test: (tests.seconds[test], test)):
        file, function = Path(test.partition("::")[0]).name, test.partition("[")[0]
        rank = 0 if file in own else 1 if file in near else 2
        order.append((rank, variants[function] if rank < 2 else 0, tests.seconds[test], test))
        variants[function] += 1
    chosen, seconds = [], 0
    for _, _, duration, test in sorted(order):
        if seconds + duration <= most or not chosen:
            chosen.append(test)
            seconds += duration
    return chosen, seconds, len(order) - len(chosen)


def importers(files):
    """The files beside these, or in the rooms of the same tier, that import them by name."""
    found = set()
    for file in files:
        stem = Path(file).stem
        tier = ROOT / "kernels" / "cpu"
        for path in tier.rglob("*.py") if file.startswith("kernels/cpu") else (ROOT / file).parent.glob("*.py"):
            if re.search(rf"^from \.[\w.]*(\b{stem} import| import .*\b{stem}\b)", path.read_text(), re.MULTILINE):
                found.add(path.relative_to(ROOT).as_posix())
    return found - files


# Running them


def outcome(mutant, tests, most, patience):
    chosen, expected, left_out = tests_for(mutant, tests, most)
    if not chosen:
        return Outcome("survives", "no test runs it")
    with tempfile.TemporaryDirectory(prefix="minicnn-mutant-") as folder:
        copy, cache = Path(folder) / "checkout", Path(folder) / "cache"
        checkout(copy)
        shutil.copytree(line_map.FOLDER / "cache", cache, dirs_exist_ok=True)
        path = copy / mutant.file
        lines = path.read_text().splitlines()
        lines[mutant.line - 1 : mutant.line - 1 + len(mutant.old)] = mutant.new
        path.write_text("\n".join(lines) + "\n")
        limit = patience + 5 * expected
        code, output = pytest_on(copy, cache, chosen, limit)
    lines = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if code is None:
        at = output.strip().rpartition("\n")[2]
        return Outcome("hangs", f"after {limit:.0f} s, usually {expected:.0f} s: {at[:200]}")
    if code == 0:
        more = f", {left_out} more that run it are left out" if left_out else ""
        return Outcome("survives", f"{len(chosen)} tests, {expected:.0f} s{more}")
    if code == 4 and "not found:" in output:
        raise SystemExit(f"the map is older than the tests; --map makes it anew:\n{output[-1000:]}")
    if NO_PROGRAM.search(output):
        return Outcome("no program", NO_PROGRAM.search(output)[0])
    return Outcome("rejected", lines[0][:200] if lines else f"exit code {code}: {output[-150:]}")


def checkout(copy):
    """A copy of the checkout that Python can import as it lies there."""
    shutil.copytree(ROOT, copy, ignore=SKIPPED, symlinks=True)  # with the link minicnn/kernels


def pytest_on(copy, cache, tests, limit):
    """pytest's exit code, None if it takes more than `limit` seconds; and what it says."""
    (copy / "chosen").write_text("\n".join(tests))
    command = [sys.executable, "-m", "pytest", "-x", "-v", "--tb=short", "-p", "no:cacheprovider", "@chosen"]
    variables = {**line_map.environment(copy, cache), "TMPDIR": str(copy.parent)}
    with (copy.parent / "output").open("w+") as output:
        process = subprocess.Popen(
            [*command, "--hypothesis-seed=0"],
            cwd=copy,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            process.wait()
        output.seek(0)
        return code, output.read()


# The command


def run(todo, args):
    """Try so many mutants of each source, {name: (mutants, how many)}; returns the outcomes' counts, and survivors."""
    tests, listed, drawing = line_map.LineMap(), read("equivalent_mutants.txt"), threading.Lock()
    counts, survivors, kept = {name: collections.Counter() for name in todo}, [], line_map.FOLDER / REJECTED
    known = json.loads(kept.read_text()) if kept.exists() and not args.anew else {}

    def one(name, source):
        while True:
            begun = time.perf_counter()
            with drawing:
                mutant = next(source)
            same = equivalent(mutant, listed)
            if same:
                found = Outcome("equivalent", same.name)
            elif (key := _name(mutant)) in known:
                found = Outcome(*known[key])
            else:
                found = outcome(mutant, tests, args.seconds, args.patience)
            if found.kind in ("rejected", "hangs", "no program"):
                known[_name(mutant)] = found
                kept.write_text(json.dumps(known))
            if found.kind != "no program":
                break
        counts[name][found.kind] += 1
        number = sum(count.total() for count in counts.values())
        print(f"{number} {mutant}: {found.kind}, {found.text} [{time.perf_counter() - begun:.0f} s]", flush=True)
        if found.kind == "survives":
            survivors.append(mutant)
            print(mutant.diff(), flush=True)
            (line_map.FOLDER / LAST).write_text(json.dumps(survivors))

    with ThreadPoolExecutor(args.workers) as pool:
        jobs = [pool.submit(one, name, source) for name, (source, count) in todo.items() for _ in range(count)]
        for job in jobs:
            job.result()
    return counts, survivors


def _name(mutant):
    """What an outcome is kept under: it counts as long as the file stays as it is."""
    return hashlib.sha256(json.dumps([mutant, (ROOT / mutant.file).read_text()]).encode()).hexdigest()


def again():
    """The survivors of the last run, on the lines where they stand now."""
    for mutant in (Mutant(*parts) for parts in json.loads((line_map.FOLDER / LAST).read_text())):
        lines, length = (ROOT / mutant.file).read_text().splitlines(), len(mutant.old)
        there = [i + 1 for i in range(len(lines)) if lines[i : i + length] == mutant.old]
        if there:
            moved = min(there, key=lambda line: abs(line - mutant.line)) - mutant.line
            yield mutant._replace(line=mutant.line + moved, first=mutant.first + moved, last=mutant.last + moved)
        else:
            print(f"{mutant}: these lines are no more")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", action="store_true", help="run the test files that have changed, under coverage")
    parser.add_argument("--count", type=int, default=0, help="how many mutants, equivalent ones included")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", choices=FOLDERS, help="this folder alone")
    parser.add_argument("--again", action="store_true", help="try the last run's survivors")
    parser.add_argument("--anew", action="store_true", help="try those, too, that were rejected before")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time")
    parser.add_argument("--seconds", type=float, default=60, help="most time, usually, of the tests of one mutant")
    parser.add_argument(
        "--patience", type=float, default=300, help="seconds after which a mutant hangs, and 5 times usual"
    )
    args = parser.parse_args(argv)
    if args.map:
        with tempfile.TemporaryDirectory(prefix="minicnn-map-") as folder:
            checkout(Path(folder).resolve() / "checkout")
            line_map.make(Path(folder).resolve() / "checkout", args.workers)
    if args.again:
        found = list(again())
        todo = {name: [m for m in found if m.file.startswith(name)] for name in FOLDERS}
        todo = {name: (iter(some), len(some)) for name, some in todo.items()}
    else:
        counts = (
            {args.folder: args.count}
            if args.folder
            else dict(zip(FOLDERS, (args.count - args.count // 3, args.count // 3), strict=True))
        )
        todo = {name: (draw(name, args.seed), count) for name, count in counts.items()}
    if not any(count for _, count in todo.values()):
        return 0
    counts, survivors = run(todo, args)
    for mutant in survivors:
        print(f"\nsurvives: {mutant}\n{mutant.diff()}")
    parts = (f"{name} {count.total()} ({_listed(count)})" for name, count in counts.items())
    print(f"{sum(count.total() for count in counts.values())} mutants, seed {args.seed}: {'; '.join(parts)}")
    return 1 if survivors else 0


def _listed(count):
    kinds = {"rejected": "rejected", "hangs": "hung", "equivalent": "equivalent", "survives": "survived"}
    return ", ".join(f"{count[kind]} {word}" for kind, word in kinds.items())


if __name__ == "__main__":
    sys.exit(main())
