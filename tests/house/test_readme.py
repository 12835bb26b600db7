"""README.md tells the truth: its commands, its code, its line counts and its table of ops."""

import re
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT
from PIL import Image

import minicnn.functional as F
from minicnn import manual_seed, models, pretrained
from minicnn.pretrained import loading
from minicnn.pretrained.weights import WEIGHTS
from minicnn.train import save_checkpoint

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_block(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    return capsys.readouterr().out


def test_the_library_example_runs(capsys):
    printed = run_block(BLOCKS[1], capsys)
    assert "digraph" in printed and "60,965,224" in printed


def test_the_example_of_weights_runs(tmp_path, monkeypatch, capsys):
    """With a photograph of noise, and random weights where the download would be."""
    manual_seed(0)
    weights = tmp_path / "weights.npz"
    save_checkpoint(weights, {"model": models.resnet50().state_dict()})
    monkeypatch.setattr(loading, "fetch", lambda url: weights)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)).save("photo.jpg")
    name, shape = run_block(BLOCKS[0], capsys).splitlines()
    assert name in pretrained.get("resnet50").classes and shape == "(1, 1024, 14, 14)"


def test_the_table_of_weights():
    rows = re.findall(
        r"^\| (\w+) (IMAGENET\w+)(.*?) \| ([\d,]+) \| ([\d.]+), ([\d.]+) \| (\d+), (\d+) \|", README, re.M
    )
    stated = {(arch, name): [float(cell.replace(",", "")) for cell in cells] for arch, name, _, *cells in rows}
    there_are = {(w.arch, w.name): [w.parameters, w.top1, w.top5, w.shorter_side, w.image_size] for w in WEIGHTS}
    assert stated == there_are
    defaults = {arch: name for arch, name, default, *_ in rows if "default" in default}
    assert all(pretrained.get(arch).name == name for arch, name in defaults.items()) and len(defaults) == 3


def test_line_counts_of_the_reading_order():
    rows = re.findall(r"\| \d+ \| \[[^]]+\]\(([^)]+)\) \| (\d+) \|", README)
    assert len(rows) >= 8
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path, _ in rows}
    wrong = {path: lines[path] for path, stated in rows if abs(lines[path] - int(stated)) > 0.1 * lines[path]}
    assert not wrong, "README.md states other numbers of lines"


def mirrors(stem):
    return f"kernels/cpu/{stem}.py", f"kernels/numba_cuda/{stem}.py", f"kernels/cuda/{stem}.cu"


@pytest.mark.parametrize("row", re.findall(r"^\| `(\w+)`(.*)$", README, re.MULTILINE), ids=lambda row: row[0])
def test_op_table_row(row):
    name, rest = row
    page, *kernels, test = re.findall(r"\]\(([^)]+)\)", rest)
    stem, text = Path(page).stem, (ROOT / page).read_text(encoding="utf-8")
    assert kernels == [path for path in mirrors(stem) if (ROOT / path).exists()]
    assert all(path in text for path in kernels), f"{page} does not name its mirrors"
    assert getattr(F, name).__module__ == page.removesuffix(".py").replace("/", ".")
    assert Path(test).stem == "test_" + Path(page).stem


def test_op_table_is_complete():
    assert set(re.findall(r"^\| `(\w+)`", README, re.MULTILINE)) == set(F.__all__)
