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
SIDES = ("minicnn fast", "minicnn plain", "torch", "jax", "chainer", "tinygrad")  # in the order of the columns


def measured(task, model, batch):
    """{side: (images per second, those of its best step, peak memory)}; of PyTorch's layouts, the faster one."""
    raw = json.loads((RESULTS / f"{task}_{model}_b{batch}_t2.json").read_text())
    found = {}
    for side, runs in raw["runs"].items():
        seconds = [second for run in runs for second in run["seconds"]]
        figures = batch / median(seconds), batch / min(seconds), median(run["peak_mib"] for run in runs)
        name = "torch" if side.startswith("torch") else side
        found[name] = max(found.get(name, figures), figures)
    return found


def rows(text):
    """(model, batch, cells) of the tables of networks."""
    for model, batch, rest in re.findall(r"^\| (\w+(?:-\d+)?), batch (\d+) \| (.+) \|$", text, re.M):
        yield model.lower().replace("-", ""), int(batch), rest.split(" | ")


def stated(cells):
    return [[float(number) for number in re.findall(r"[\d.]+", cell)] for cell in cells]


def ratios(figures):
    (rate, best, peak), (torch_rate, torch_best, torch_peak) = figures["minicnn fast"], figures["torch"]
    return [[pytest.approx(rate / torch_rate, abs=0.0051), pytest.approx(best / torch_best, abs=0.0051)],
            [pytest.approx(peak / torch_peak, abs=0.0051)]]  # fmt: skip


@pytest.mark.parametrize("task", ["train", "infer"])
def test_tables_of_speed(task):
    table = SPEED.partition("| training step,")[2].partition("| inference,")[0 if task == "train" else 2]
    found = list(rows(table))
    assert len(found) == len(list(RESULTS.glob(f"{task}_*.json")))
    for model, batch, cells in found:
        figures = measured(task, model, batch)
        rates = [[pytest.approx(figures[side][0], abs=0.051 if figures[side][0] > 1 else 0.0051)] for side in SIDES]
        assert stated(cells) == [*rates, *ratios(figures)], (model, batch)


def test_the_front_door_quotes_them():
    found = list(rows(README))
    assert len(found) == 3
    for model, batch, cells in found:
        figures = measured("train", model, batch)
        ours, torch = ([pytest.approx(figures[side][0], abs=0.051)] for side in ("minicnn fast", "torch"))
        assert stated([cell.removesuffix("of PyTorch's") for cell in cells]) == [ours, torch, *ratios(figures)]


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
    assert f"takes {1000 * constant:.0f} ms plus {1000 * each:.1f} ms per picture" in text
    assert (
        f"grows by {slope:.1f} MiB per picture, in a straight line from 1 to 128 pictures (R² {by_batch:.3f})" in text
    )
    assert (
        f": {kept:.1f} MiB that the backward pass needs" in text and f"backward pass needs (R² {by_depth:.3f})" in text
    )


def test_decoding_pictures():
    seconds = json.loads((RESULTS / "data.json").read_text())["seconds_per_picture"]
    ratio = median(seconds["torchvision"]) / median(seconds["minicnn"])
    assert f"beside torchvision: {ratio:.1f} times as fast here" in SPEED
