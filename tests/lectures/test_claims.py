"""docs/lectures/claims.md: its rows, and the counts at its top."""

import re

from paths import ROOT

PAGE = (ROOT / "docs" / "lectures" / "claims.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d", line)]


def test_each_claim_has_a_row():
    assert [int(row[0]) for row in ROWS] == list(range(1, 68))
    assert all(len(row) == 5 and all(row) and row[1] in ("1", "2", "1, 2") for row in ROWS)


def test_the_counts():
    outside = sum(row[4] == "outside the scope" for row in ROWS)
    published = sum(row[4].endswith("as published") for row in ROWS)
    counts = len(ROWS) - outside, len(ROWS), len(ROWS) - outside - published, published, outside
    found = re.search(
        r"\*\*(\d+) of (\d+) can be seen\*\*: (\d+) by .*?, and (\d+) as published; (\d+) are outside", PAGE
    )
    assert found and tuple(map(int, found.groups())) == counts
