"""What stands in the documents is so: links lead somewhere, code runs, commands are understood, tables are complete."""

import argparse
import re
import runpy
import shlex
import sys
import textwrap
import tomllib
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from checks import there_is_a_compiler
from paths import ROOT
from PIL import Image

import minicnn.functional as F
from minicnn import manual_seed, pretrained
from minicnn.commands import main
from minicnn.pretrained import loading
from minicnn.pretrained.weights import WEIGHTS
from minicnn.train import save_checkpoint

ROOMS = ("docs", "minicnn", "kernels", "examples", "benchmarks", "tests")
PATHS = sorted([*ROOT.glob("*.md"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.md"))])
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PATHS}
BLOCK = re.compile(  # fenced code; in a list it is indented
    r"(?:^ *<!-- fragment: (?P<why>.+?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```\n",
    re.M | re.S,
)


class Block(NamedTuple):
    """A fenced block of code; why it is only a fragment; what it prints, as the block of text behind it says."""

    text: str
    why: str | None
    expected: str | None


def blocks(page, language):
    """The blocks of a page in one language, in order."""
    for match in BLOCK.finditer(PAGES[page]):
        if match["language"] == language:
            behind = re.match(r"\n```text\n(.*?)^```\n", PAGES[page][match.end() :], re.M | re.S)
            yield Block(textwrap.dedent(match["text"]), match["why"], behind and behind[1])


# Links


def prose(text):
    """A document without its code, in which brackets are no links and # is no heading."""
    return re.sub(r"`[^`\n]+`", lambda code: re.sub(r"[][()#]", "", code[0]), BLOCK.sub("", text))


def anchors(text):
    """The names that a page's headings have as targets of links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.M)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def dead_links(page):
    """The links of a page whose file is not there, or has no such heading."""
    for link in re.findall(r"(?:\]\(|src=\")([^)\"]+)[)\"]", prose(PAGES[page])):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    assert list(dead_links(page)) == []


def test_every_page_is_in_the_index():
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", PAGES["docs/README.md"])}
    assert {path for path in PATHS if path.parent == ROOT / "docs" and path.name != "README.md"} <= linked


# Code: the blocks of a page run one after the other, as a reader would type them


def random_weights(folder, monkeypatch):
    """What would be downloaded."""

    def fetch(url):
        (weights,) = (each for each in WEIGHTS if each.url == url)
        manual_seed(0)
        path = folder / "weights.npz"
        save_checkpoint(path, {"model": weights.build().state_dict()})
        return path

    monkeypatch.setattr(loading, "fetch", fetch)


def a_photograph(folder, monkeypatch):
    """Of noise."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)).save(folder / "photo.jpg")


def pictures_in_folders(folder, monkeypatch):
    """DIR/train/<class>/*, of noise."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "DIR" / "train" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (50, 60, 3), np.uint8)).save(folder / "DIR/train" / name / f"{i}.jpg")


def an_emulated_gpu(folder, monkeypatch):
    """For which the kernels are compiled."""
    if not there_is_a_compiler():
        pytest.skip("the emulated GPU needs a C++20 compiler: c++, g++, clang++ or what CXX names")
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


def a_stand_in_for_wandb(folder, monkeypatch):
    """That takes what the real one takes."""

    class Run:
        def log(self, data, step=None):
            assert data["epoch"] == step and 0 <= data["val_top1"] <= 100

        def finish(self, exit_code=None):
            assert exit_code is None

    module = types.ModuleType("wandb")
    module.init = lambda project=None, config=None, dir=None: Run()
    monkeypatch.setitem(sys.modules, "wandb", module)


NEEDED = {  # what a page's reader has beside what it says
    "docs/loop.md": (pictures_in_folders, a_stand_in_for_wandb),
    "docs/weights.md": (random_weights, a_photograph),
    "docs/transfer.md": (random_weights,),
    "kernels/README.md": (an_emulated_gpu,),
}


@pytest.mark.parametrize("page", [page for page in PAGES if any(not block.why for block in blocks(page, "python"))])
def test_code_runs_and_prints_what_is_said(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for prepare in NEEDED.get(page, ()):
        prepare(tmp_path, monkeypatch)
    names = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        if not block.why:
            exec(compile(block.text, page, "exec"), names)
            printed = capsys.readouterr().out
            assert block.expected is None or printed == block.expected


def commands():
    """(page, words) of every program of this repository that a document calls."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            first_turns = dict(re.findall(r"for (\w+) in (\S+)", block.text))
            lines = re.sub(r"\\\n", " ", block.text).splitlines()
            for line in lines:
                for call in re.findall(r"python ((?:examples|benchmarks)/\w+\.py.*)", line):
                    words = shlex.split(re.sub(r"\$(\w+)", lambda name, turns=first_turns: turns[name[1]], call), True)
                    yield page, tuple(words)


def words_of_the_command():
    """(page, words) of every call of minicnn."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for call in re.findall(r"^(?:\w+=\S+ )*minicnn (.*)$", re.sub(r"\\\n", " ", block.text), re.M):
                yield page, tuple(shlex.split(call, True))


class Understood(BaseException):
    """The arguments have been read; nothing is run."""


@pytest.mark.parametrize("page, words", dict.fromkeys(commands()), ids=lambda value: str(value)[:60])
def test_programs_are_understood(page, words, monkeypatch):
    stop_at_the_arguments(monkeypatch)
    program = ROOT / words[0]
    monkeypatch.setattr(sys, "argv", [str(program), *words[1:]])
    monkeypatch.syspath_prepend(program.parent)
    with pytest.raises(Understood):
        runpy.run_path(str(program), run_name="__main__")


@pytest.mark.parametrize("page, words", dict.fromkeys(words_of_the_command()), ids=lambda value: str(value)[:60])
def test_commands_are_understood(page, words, monkeypatch):
    stop_at_the_arguments(monkeypatch)
    with pytest.raises(Understood):
        main(words)


def stop_at_the_arguments(monkeypatch):
    """No command line does more than to be read."""
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "0")  # which some programs set: afterwards it is what it was
    parse_args = argparse.ArgumentParser.parse_args

    def stop(parser, args=None, namespace=None):
        parse_args(parser, args, namespace)  # SystemExit for what it does not know
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


# What is there has its place in the documents, and the other way round


def test_extras_are_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for text in PAGES.values() for name in re.findall(r"'(?:minicnn|\.)\[(\w+)\]'", text)}
    assert named <= extras.keys()
    assert set(re.findall(r"^\| `(\w+)` \|", section("docs/install.md", "Extras"), re.M)) == extras.keys()


def test_variables_of_the_environment():
    sources = [path for room in ("minicnn", "kernels") for path in (ROOT / room).rglob("*.py")]
    read = {name for path in sources for name in re.findall(r"\"(MINICNN_[A-Z_]+)\"", path.read_text(encoding="utf-8"))}
    described = set(re.findall(r"^\| `(MINICNN_[A-Z_]+)` \|", PAGES["docs/install.md"], re.M))
    named = {name for text in PAGES.values() for name in re.findall(r"MINICNN_[A-Z_]+", text)}
    assert read == described and named <= read


def section(page, heading):
    return PAGES[page].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


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
    assert all(pretrained.get(arch).name == name for arch, name in defaults.items()) and len(defaults) == 4


def mirrors(stem):
    """The .cu, which has what is to be read; the .py, where it launches another page's kernels."""
    own = f"kernels/cuda/{stem}.cu"
    launcher = own if (ROOT / own).exists() else f"kernels/cuda/{stem}.py"
    return f"kernels/cpu/{stem}.py", f"kernels/numba_cuda/{stem}.py", launcher


OP_ROWS = re.findall(r"^\| `(\w+)`(.*)$", PAGES["docs/ops.md"], re.MULTILINE)


@pytest.mark.parametrize("row", OP_ROWS, ids=lambda row: row[0])
def test_op_table_row(row):
    name, rest = row
    page, *kernels, test = (link.removeprefix("../") for link in re.findall(r"\]\(([^)]+)\)", rest))
    stem, text = Path(page).stem, (ROOT / page).read_text(encoding="utf-8")
    assert kernels == [path for path in mirrors(stem) if (ROOT / path).exists()]
    assert all(path in text for path in kernels), f"{page} does not name its mirrors"
    assert getattr(F, name).__module__ == page.removesuffix(".py").replace("/", ".")
    assert re.search(f"^Test .*{re.escape(test)}", text, re.MULTILINE), f"{page} names another test"


def test_op_table_is_complete():
    assert {name for name, _ in OP_ROWS} == set(F.__all__)


def test_every_page_of_an_op_is_named():
    pages = [
        path for path in (ROOT / "minicnn" / "ops").glob("*.py") if "(Function)" in path.read_text(encoding="utf-8")
    ]
    assert len(pages) > 20
    assert [path.name for path in pages if f"](../minicnn/ops/{path.name})" not in PAGES["docs/ops.md"]] == []
