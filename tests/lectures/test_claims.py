"""docs/lectures/claims.md: a row for each claim, counted right above the table, and links that lead somewhere."""

import re
from collections import Counter

import pytest
from paths import ROOT

PAGE = ROOT / "docs" / "lectures" / "claims.md"
TEXT, _, TABLE = PAGE.read_text(encoding="utf-8").partition("\n| # |")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines() if re.match(r"\| \d", line)]
SEEN = "yes", "in part", "outside"
OTHERWISE = "wrong", "does not show", "partly"


def numbers(pattern):
    """The numbers that stand in the text where the pattern has its groups."""
    found = re.search(pattern, re.sub(r"\s+", " ", TEXT))
    assert found, f"the text does not say: {pattern}"
    return [int(number) for number in found.groups()]


def test_a_row_for_each_claim():
    assert [int(row[0]) for row in ROWS] == list(range(1, 68))
    assert all(len(row) == 6 and all(row[:5]) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row(row):
    _, slide, _, seen, where, otherwise = row
    assert re.match(r"[12]: \S", slide)
    assert seen in SEEN
    assert where.startswith("outside the scope") == (seen == "outside")
    assert not otherwise or otherwise.partition(": ")[0] in OTHERWISE
    links = re.findall(r"\[([^]]+)\]\(([^)#]+)[^)]*\)", where)
    assert links or seen == "outside"
    for label, link in links:
        target = (PAGE.parent / link).resolve()
        assert target.is_file() and target.is_relative_to(ROOT), link
        if target.parent == ROOT / "examples" / "lectures":
            assert label == target.stem.replace("_", " ", 1)


def test_how_many_are_seen():
    count = Counter(row[3] for row in ROWS)
    pattern = r"\*\*(\d+) of the 67 can be seen, (\d+) in part, and (\d+) are outside the scope\.\*\*"
    assert numbers(pattern) == [count[seen] for seen in SEEN]


def test_why_some_are_seen_in_part():
    named = [int(n) for group in re.findall(r"\((\d[\d, ]*)\)", TEXT.split("\n- ", 1)[1]) for n in group.split(",")]
    assert sorted(named) == [int(row[0]) for row in ROWS if row[3] == "in part"]


def test_how_many_come_out_otherwise():
    count = Counter(row[5].partition(":")[0] for row in ROWS if row[5])
    pattern = r"\*\*(\d+) rows .*?\*\*: (\d+) \*wrong\* .*?, (\d+) \*does not show\* .*?, (\d+) \*partly\*"
    assert numbers(pattern) == [count.total(), *(count[word] for word in OTHERWISE)]
