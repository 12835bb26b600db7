"""README.md tells the truth: its commands, its code, its line counts and its table of ops."""

import re
from pathlib import Path

import pytest

import minicnn.functional as F

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_the_library_example_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "digraph" in printed and "60,965,224" in printed


def test_line_counts_of_the_reading_order():
    rows = re.findall(r"\| \d+ \| \[[^]]+\]\(([^)]+)\) \| (\d+) \|", README)
    assert len(rows) >= 8
    for path, stated in rows:
        lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
        assert abs(lines - int(stated)) <= 0.1 * lines, f"{path} has {lines} lines, README.md says {stated}"


@pytest.mark.parametrize("row", re.findall(r"^\| `(\w+)`(.*)$", README, re.MULTILINE), ids=lambda row: row[0])
def test_op_table_row(row):
    name, rest = row
    page, test = re.findall(r"\]\(([^)]+)\)", rest)
    assert getattr(F, name).__module__ == page.removesuffix(".py").replace("/", ".")
    assert Path(test).stem == "test_" + Path(page).stem


def test_op_table_is_complete():
    assert set(re.findall(r"^\| `(\w+)`", README, re.MULTILINE)) == set(F.__all__)
