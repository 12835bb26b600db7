"""The figures of speed that documents state are the medians of the raw results that lie in benchmarks/results/cpu."""

import csv
import json
import re
from statistics import median

import numpy as np
import pytest
from paths import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "cpu"
SPEED = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
OTHERS = {"minicnn, fast": "minicnn float32 fast", "minicnn, plain": "minicnn float32 plain"}
OTHERS |= {"JAX": "jax float32", "Chainer": "chainer float32", "tinygrad": "tinygrad float32"}


def measured(task, model, batch, folder=RESULTS):
    """{side: (images per second, those of its best step, peak memory)}."""
    raw = json.loads((folder / f"{task}_{model}_b{batch}_t2.json").read_text())
    found = {}
    for side, runs in raw["runs"].items():
        seconds = [second for run in runs for second in run["seconds"]]
        found[side] = batch / median(seconds), batch / min(seconds), median(run["peak_mib"] for run in runs)
    return found


def tables(text):
    """{"speed train float32": [[(title of a column, cell), ...] of each row]} of the tables that a page has."""
    found = {}
    for name, table in re.findall(r"<!-- table: ([\w ]+) -->\n(.*?)<!-- end of table -->", text, re.S):
        head, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines()] or [(), ()]
        found[name] = [list(zip(["case", *head[1:]], row, strict=True)) for row in rows]
    return found


def stated(row):
    """(model, batch) of a row."""
    model, batch = re.fullmatch(r"(\w+(?:-\d+)?), batch (\d+)", row[0][1]).groups()
    return model.lower().replace("-", ""), int(batch)


def numbers(cell):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]


def near(value):
    return pytest.approx(value, abs=0.0051 if value < 1 else 0.051)


def check_speed(row, figures, precision):
    """Each cell of a row of images per second, by the title of its column."""
    ways = {side: figures[side] for side in figures if side.startswith(f"torch {precision}")}
    theirs = max(ways, key=ways.get, default=None)
    ours, fused = (f"minicnn {precision} {way}" for way in ("fast", "fused"))
    best_of_ours = fused if fused in figures else ours
    in_float32 = best_of_ours.replace("bfloat16", "float32")
    rivals = {"PyTorch": theirs, "onnxruntime": "onnxruntime float32", "float32": in_float32}
    for title, cell in row[1:]:
        title = title.removeprefix(f"{precision}: ")
        if title in ("minicnn", "fused"):
            assert numbers(cell) == [near(figures[{"minicnn": ours, "fused": fused}[title]][0])]
        elif title.startswith("PyTorch"):
            assert cell.partition(" ")[2] == f"({theirs.partition(precision)[2].strip()})"
            assert numbers(cell.partition(" ")[0]) == [near(figures[theirs][0])]
        elif title.startswith("onnxruntime"):
            assert numbers(cell) == [near(figures["onnxruntime float32"][0])]
        elif title.startswith("memory"):
            assert numbers(cell) == [pytest.approx(figures[best_of_ours][2] / figures[theirs][2], abs=0.0051)]
        else:  # "fused / PyTorch", "ratio"
            rival = rivals[title.partition(" / ")[2] or "PyTorch"]
            ratios = [figures[best_of_ours][i] / figures[rival][i] for i in range(2)]
            assert numbers(cell) == [pytest.approx(ratio, abs=0.0051) for ratio in ratios]


@pytest.mark.parametrize("task", ["train", "infer"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tables_of_speed(task, precision):
    files = list(RESULTS.glob(f"{task}_*.json"))
    was_measured = all(f"minicnn {precision} fast" in json.loads(path.read_text())["runs"] for path in files)
    rows = tables(SPEED)[f"speed {task} {precision}"]
    assert len(rows) == (len(files) if was_measured else 0)
    for row in rows:
        assert len(row) >= 5
        check_speed(row, measured(task, *stated(row)), precision)


def test_the_ratios_of_the_processor_before():
    for precision in ("float32", "bfloat16"):
        ratios = []
        for model, batch in (("alexnet", 64), ("resnet18", 16), ("resnet50", 8)):
            figures = measured("train", model, batch, RESULTS / "xeon")
            theirs = max(figures[side][0] for side in figures if side.startswith(f"torch {precision}"))
            ratios.append(f"{figures[f'minicnn {precision} fast'][0] / theirs:.2f}")
        assert "{}, {} and {}".format(*ratios) in SPEED


def test_tables_of_memory_and_of_other_libraries():
    rows = tables(SPEED)["memory train"]
    assert len(rows) == len(list(RESULTS.glob("train_*.json")))
    for row in rows:
        figures = measured("train", *stated(row))
        for title, cell in row[1:]:
            library, precision = title.split(", ")
            sides = [side for side in figures if side.startswith(f"torch {precision}")]
            side = f"minicnn {precision} fast" if library == "minicnn" else max(sides, key=figures.get)
            assert numbers(cell)[0] == pytest.approx(figures[side][2], abs=0.51)
    for task in ("train", "infer"):
        rows = tables(SPEED)[f"libraries {task}"]
        assert len(rows) == len(list((RESULTS / "libraries").glob(f"{task}_*.json")))
        for row in rows:
            figures = measured(task, *stated(row), RESULTS / "libraries")
            assert {title: numbers(cell) for title, cell in row[1:]} == {
                title: [near(figures[side][0])] for title, side in OTHERS.items()
            }


def test_the_front_door_quotes_them():
    rows = tables(README)["front"]
    assert len(rows) == 3
    for row in rows:
        assert len(row) in (5, 9)  # the networks' names, and four columns of each precision
        for precision, cells in (("float32", row[1:5]), ("bfloat16", row[5:])):
            check_speed([row[0], *cells], measured("train", *stated(row)), precision)


def test_tables_are_those_that_the_program_writes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from cpubench.documents import filled

    for page in (SPEED, README):
        assert filled(page, RESULTS) == page, "python benchmarks/cpu.py tables"


def last_epoch(run):
    """The last row of a training's log."""
    with open(ROOT / "benchmarks" / "results" / "cifar_sample" / f"{run}.csv", newline="") as file:
        *_, row = csv.DictReader(file)
    return row


def percent(value):
    return f"{float(value):.1f}"


def test_what_shortcuts_are_for():
    text = (ROOT / "docs" / "resnet.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"^\| (ResNet|plain) \| ([\d.]+ % \| [\d.]+ %) \|$", text, re.M))
    for kind, name in (("ResNet", "resnet"), ("plain", "plain")):
        runs = [last_epoch(f"{name}{depth}") for depth in (20, 56)]
        assert found[kind] == " | ".join(f"{percent(run['train_top1'])} %" for run in runs)
    assert f"**{percent(last_epoch('resnet20_10000_pictures')['val_top1'])} %** validation" in text


def test_transferred():
    text = (ROOT / "docs" / "transfer.md").read_text(encoding="utf-8")
    assert f"{percent(last_epoch('transfer_pretraining')['val_top1'])} %\nvalidation top-1" in text
    found = re.findall(r"^\| seed (\d) \| (.+) \|$", text, re.M)
    assert len(found) == 3
    for seed, cells in found:
        names = ("option1", "option2", "scratch", "probe-layer1", "probe-layer2", "probe-layer3")
        assert re.findall(r"[\d.]+", cells) == [
            percent(last_epoch(f"transfer_seed{seed}_{name}")["val_top1"]) for name in names
        ]


def test_speed_and_memory_against_batch_size_and_depth():
    raw = json.loads((RESULTS / "scaling_t2.json").read_text())
    batches, memory = raw["batches"], [mib for _, mib in raw["by_batch"]]
    each, constant = np.polyfit(batches, np.array(batches) / raw["batch_speed"], 1)  # the line in the figure
    slope, kept = (np.polyfit(batches, mib, 1)[0] for mib in (memory, raw["batch_mib"]))
    by_batch = np.corrcoef(batches, memory)[0, 1] ** 2
    by_depth = np.corrcoef(raw["depth_mib"], [mib for _, mib in raw["by_depth"]])[0, 1] ** 2
    text = " ".join(SPEED.split())
    assert f"took {1000 * constant:.0f} ms plus {1000 * each:.1f} ms per picture" in text
    assert f"grew by {slope:.1f} MiB per picture, in a straight line from 1 to 128 pictures (R² {by_batch:.3f})" in text
    assert (
        f": {kept:.1f} MiB that the backward pass needs" in text and f"backward pass needs (R² {by_depth:.3f})" in text
    )


def test_decoding_pictures():
    seconds = json.loads((RESULTS / "data.json").read_text())["seconds_per_picture"]
    ratio = median(seconds["torchvision"]) / median(seconds["minicnn"])
    assert f"beside torchvision: {ratio:.1f} times as fast here" in SPEED
