"""What stands in the documents is so: links lead somewhere, code runs, tables are what the library has."""

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

ROOMS = ("docs", "minicnn", "kernels", "examples", "benchmarks", "tests")
PATHS = sorted([*ROOT.glob("*.md"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.md"))])
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
FENCE = r"^( *)```(\w*)\n(.*?)^\1```$"


def prose(text):
    """A document without its code, in which brackets are no links and # is no heading."""
    without_blocks = re.sub(FENCE, "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]+`", lambda code: re.sub(r"[][()#]", "", code[0]), without_blocks)


def anchors(text):
    """The names that a page's headings have as targets of links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def dead_links(page):
    """The links of a page whose file is not there, or has no such heading."""
    for link in re.findall(r"\]\(([^)]+)\)", prose(PAGES[page])):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    assert list(dead_links(page)) == []


def test_every_page_is_reached():
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", PAGES["docs/README.md"])}
    assert {path for path in PATHS if path.parent == ROOT / "docs" and path.name != "README.md"} <= linked


@pytest.fixture
def run_block(tmp_path, monkeypatch, capsys):
    """Run one of a page's blocks of Python, where a photograph of noise lies, and say what it has printed."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)).save("photo.jpg")

    def run(page, block):
        exec(compile(block, page, "exec"), {})
        return capsys.readouterr().out

    return run


def blocks(page):
    return re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)


def test_the_library_example_runs(run_block):
    (block,) = blocks("README.md")
    printed = run_block("README.md", block)
    assert "digraph" in printed and "60,965,224" in printed


def test_the_op_of_ones_own_runs(run_block):
    (block,) = blocks("CONTRIBUTING.md")
    run_block("CONTRIBUTING.md", block)


def test_the_example_of_weights_runs(run_block, tmp_path, monkeypatch):
    """With random weights where the download would be."""
    manual_seed(0)
    weights = tmp_path / "weights.npz"
    save_checkpoint(weights, {"model": models.resnet50().state_dict()})
    monkeypatch.setattr(loading, "fetch", lambda url: weights)
    (block,) = blocks("docs/weights.md")
    name, shape = run_block("docs/weights.md", block).splitlines()
    assert name in pretrained.get("resnet50").classes and shape == "(1, 1024, 14, 14)"


def test_the_table_of_weights():
    rows = re.findall(
        r"^\| (\w+) (IMAGENET\w+)(.*?) \| ([\d,]+) \| ([\d.]+), ([\d.]+) \| (\d+), (\d+) \|",
        PAGES["docs/weights.md"],
        re.M,
    )
    stated = {(arch, name): [float(cell.replace(",", "")) for cell in cells] for arch, name, _, *cells in rows}
    there_are = {(w.arch, w.name): [w.parameters, w.top1, w.top5, w.shorter_side, w.image_size] for w in WEIGHTS}
    assert stated == there_are
    defaults = {arch: name for arch, name, default, *_ in rows if "default" in default}
    assert all(pretrained.get(arch).name == name for arch, name in defaults.items()) and len(defaults) == 3


def mirrors(stem):
    return f"kernels/cpu/{stem}.py", f"kernels/numba_cuda/{stem}.py", f"kernels/cuda/{stem}.cu"


OP_ROWS = re.findall(r"^\| `(\w+)`(.*)$", PAGES["docs/ops.md"], re.MULTILINE)


@pytest.mark.parametrize("row", OP_ROWS, ids=lambda row: row[0])
def test_op_table_row(row):
    name, rest = row
    page, *kernels, test = (link.removeprefix("../") for link in re.findall(r"\]\(([^)]+)\)", rest))
    stem, text = Path(page).stem, (ROOT / page).read_text(encoding="utf-8")
    assert kernels == [path for path in mirrors(stem) if (ROOT / path).exists()]
    assert all(path in text for path in kernels), f"{page} does not name its mirrors"
    assert getattr(F, name).__module__ == page.removesuffix(".py").replace("/", ".")
    assert Path(test).stem == "test_" + Path(page).stem


def test_op_table_is_complete():
    assert {name for name, _ in OP_ROWS} == set(F.__all__)
