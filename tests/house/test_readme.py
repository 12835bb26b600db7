"""README.md tells the truth, and stays short: its commands, and the lines of the files to read."""

import re

from paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_front_door_is_no_corridor():
    assert len(README.splitlines()) <= 120


def test_both_commands_are_marked():
    """.ci/run takes the test command from here."""
    run, test = (re.findall(rf"<!-- {name} command -->\n```bash\n(.+)\n```\n", README) for name in ("run", "test"))
    assert len(run) == len(test) == 1
    assert (ROOT / run[0].split()[-1]).is_file() and "pytest" in test[0]


def test_line_counts_of_the_reading_order():
    stated = {path: int(count) for path, count in re.findall(r"\]\(([^)]+)\) \((\d+)\)", README)}
    assert len(stated) >= 15
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in stated}
    wrong = {path: lines[path] for path in stated if abs(lines[path] - stated[path]) > 0.1 * lines[path]}
    assert not wrong, "README.md states other numbers of lines"
    (total,) = re.findall(r"([\d,]+) lines; each row", README)
    assert abs(int(total.replace(",", "")) - sum(lines.values())) <= 0.1 * sum(lines.values())


def test_the_tour_is_in_the_reading_order():
    chapters = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "tour").glob("*.ipynb")]
    assert len(chapters) >= 5 and all(f"]({chapter}) |" in README for chapter in chapters)
