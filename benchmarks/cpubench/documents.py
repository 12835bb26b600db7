"""The tables of docs/speed.md and README.md, written from the raw results in benchmarks/results/cpu.

A table stands between two comments, `<!-- table: speed train bfloat16 -->` and `<!-- end of table -->`: the name of a
function below and its arguments. Rows are the files that there are; a column stands where all of them have its side,
and without minicnn's side there is no table. In brackets behind a ratio: that of the best steps.
"""

import json
import re
from pathlib import Path

from minicnn.console import say

from .figures import best_of_pytorch, best_rate, peak, rate

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "cpu"
PAGES = ROOT / "docs" / "speed.md", ROOT / "README.md"
THREADS = 2  # of the results that are shown
NAMES = {"alexnet": "AlexNet", "resnet18": "ResNet-18", "resnet50": "ResNet-50"}
TASKS = {"train": "training step", "infer": "inference"}
LIBRARIES = {"jax": "JAX", "chainer": "Chainer", "tinygrad": "tinygrad"}
PLACE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end of table -->)", re.S)


def write_tables(args):
    """Put every table of PAGES in its place."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), RESULTS), encoding="utf-8")
        say(f"tables of {page.relative_to(ROOT)}")


def filled(text, results):
    """The text of a page, with its tables made from the files in that folder."""

    def table(place):
        name, *words = place[2].split()
        lines = TABLES[name](results, *words)
        return place[1] + "".join(f"{line}\n" for line in lines) + place[3]

    return PLACE.sub(table, text)


class Case:
    """What one file holds."""

    def __init__(self, raw):
        self.runs, self.batch_size, self.model = raw["runs"], raw["batch_size"], raw["model"]
        self.versions = {library: texts[library] for library, texts in raw["settings"].items()}
        self.title = f"{NAMES[self.model]}, batch {self.batch_size}"

    def best(self, precision):
        """PyTorch's side, or the name that it would have."""
        return best_of_pytorch(self.runs, precision) or f"torch {precision}"

    def rate(self, side):
        """images/s as text: one digit behind the point, or two below 1."""
        value = rate(self.runs[side], self.batch_size)
        return f"{value:.1f}" if value >= 1 else f"{value:.2f}"

    def rate_of_pytorch(self, precision):
        """With the way that was the fastest."""
        side = self.best(precision)
        return f"{self.rate(side)} ({side.partition(precision)[2].strip()})"

    def ratio(self, ours, theirs):
        medians, bests = ([each(self.runs[side], 1) for side in (ours, theirs)] for each in (rate, best_rate))
        return f"{medians[0] / medians[1]:.2f} ({bests[0] / bests[1]:.2f})"

    def memory_ratio(self, ours, theirs):
        return f"{peak(self.runs[ours]) / peak(self.runs[theirs]):.2f}"

    def memory(self, side):
        """Peak MiB, and in brackets what the library takes before there is a network."""
        runs = self.runs[side]
        alone = [run["library_mib"] for run in runs if "library_mib" in run]
        return f"{peak(runs):.0f}" + (f" ({sum(alone) / len(alone):.0f})" if alone else "")


def cases(folder, task):
    """The Case of each file of a task, by network and batch size."""
    raw = [json.loads(path.read_text()) for path in folder.glob(f"{task}_*_t{THREADS}.json")]
    found = [Case(each) for each in raw]
    return sorted(found, key=lambda case: (list(NAMES).index(case.model), case.batch_size))


def speed(results, task, precision):
    """images/s beside PyTorch, and beside onnxruntime where it ran."""
    fast, fused, onnx = f"minicnn {precision} fast", f"minicnn {precision} fused", f"onnxruntime {precision}"
    found = cases(results, task)
    ours = fused if every_has(found, fused) else fast
    name = "fused" if ours == fused else "minicnn"
    columns = [
        ("minicnn", [fast], lambda case: case.rate(fast)),
        ("fused", [fused], lambda case: case.rate(fused)),
        (versioned("PyTorch", found), [fast], lambda case: case.rate_of_pytorch(precision)),
        (versioned("onnxruntime", found), [onnx], lambda case: case.rate(onnx)),
        (f"{name} / PyTorch", [fast], lambda case: case.ratio(ours, case.best(precision))),
        (f"{name} / onnxruntime", [onnx], lambda case: case.ratio(ours, onnx)),
        ("memory / PyTorch", [fast], lambda case: case.memory_ratio(ours, case.best(precision))),
    ]
    if precision == "bfloat16":
        in_float32 = ours.replace("bfloat16", "float32")
        columns.append(("bfloat16 / float32", [fast, in_float32], lambda case: case.ratio(ours, in_float32)))
    return table(f"{TASKS[task]}, {precision}, images/s", found, columns)


def memory(results, task):
    """Peak MiB of both precisions."""
    columns = []
    for precision in ("float32", "bfloat16"):
        ours = f"minicnn {precision} fast"
        columns.append((f"minicnn, {precision}", [ours], lambda case, side=ours: case.memory(side)))
        columns.append((f"PyTorch, {precision}", [ours], lambda case, p=precision: case.memory(case.best(p))))
    return table(f"{TASKS[task]}, peak MiB", cases(results, task), columns)


def libraries(results, task):
    """images/s beside the plain tier and libraries that were not measured again."""
    sides = {"minicnn, fast": "minicnn float32 fast", "minicnn, plain": "minicnn float32 plain"}
    sides |= {title: f"{library} float32" for library, title in LIBRARIES.items()}
    columns = [(title, [side], lambda case, side=side: case.rate(side)) for title, side in sides.items()]
    return table(f"{TASKS[task]}, float32, images/s", cases(results / "libraries", task), columns)


def front(results):
    """README's: training, both precisions in a row."""
    found, columns = cases(results, "train"), []
    for precision in ("float32", "bfloat16"):
        ours = f"minicnn {precision} fast"
        columns += [
            (f"{precision}: minicnn", [ours], lambda case, side=ours: case.rate(side)),
            (versioned("PyTorch", found), [ours], lambda case, p=precision: case.rate_of_pytorch(p)),
            ("ratio", [ours], lambda case, side=ours, p=precision: case.ratio(side, case.best(p))),
            ("memory", [ours], lambda case, side=ours, p=precision: case.memory_ratio(side, case.best(p))),
        ]
    return table("training, images/s", found, columns)


def table(title, found, columns):
    """Lines of Markdown. columns: (title, the sides that it needs, what stands in the row of a Case)."""
    columns = [column for column in columns if all(every_has(found, side) for side in column[1])]
    if not columns:
        return
    yield f"| {title} | {' | '.join(name for name, _, _ in columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for case in found:
        yield f"| {case.title} | {' | '.join(cell(case) for _, _, cell in columns)} |"


def versioned(title, found):
    """ "PyTorch 2.15": with the version, as far as it tells, of the first file."""
    version = found[0].versions.get({"PyTorch": "torch"}.get(title, title), "") if found else ""
    return f"{title} {'.'.join(version.split('.')[:2])}".strip()


def every_has(found, side):
    return all(side in case.runs for case in found)


TABLES = {"speed": speed, "memory": memory, "libraries": libraries, "front": front}
