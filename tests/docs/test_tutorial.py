"""The tutorial: its notebook runs, exercises have solutions, and what is shown is what the program gives."""

import re

import pytest
from notebooks import pictures, printed, shows_something
from paths import EXAMPLES

PROGRAM, NOTEBOOK = EXAMPLES / "tutorial.py", EXAMPLES / "tutorial.ipynb"
SECTIONS = ["# Section 1. AlexNet", "# Section 2. ResNet", "# Section 3. Transfer learning"]
PICTURES, SOLUTIONS = 8, 5


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


def solutions(notebook):
    return [cell for cell in notebook.cells if is_solution(cell)]


def holds(run):
    """What is exact, whatever the settings and the processor."""
    assert all(cell.execution_count for cell in run.cells if cell.cell_type == "code")
    drawn = pictures(run)
    assert len(drawn) == PICTURES and all(shows_something(picture) for picture in drawn)
    assert all(cell.outputs for cell in solutions(run))
    text = printed(run)
    assert "sizes: 55 27\nparameters of the first convolution: 34944\n" in text and "of 60,965,224, 96%" in text
    assert "largest difference of the scores: 0.0\n" in text
    assert "a plain net, deepened: scores of different pictures differ by 0.0\n" in text


def test_it_runs_on_little(build, monkeypatch):
    monkeypatch.setenv("TUTORIAL_QUICK", "1")
    holds(build.executed(PROGRAM))


@pytest.mark.slow
def test_it_runs_whole(build, monkeypatch):
    monkeypatch.delenv("TUTORIAL_QUICK", raising=False)
    run = build.executed(PROGRAM)
    holds(run)
    right = [float(number) for number in re.findall(r"([\d.]+) % (?:of new pictures )?right", printed(run))]
    before, _, alexnet, resnet, frozen, tuned, scratch, *_ = right
    assert before < 20 < alexnet and resnet > 80 and min(frozen, tuned) > scratch  # chance: 10, 10 and 20


def test_the_notebook_is_the_programs(build):
    """Cell by cell; its outputs are those of a whole run, small enough to be kept."""
    kept = build.nbformat.read(NOTEBOOK, as_version=4)
    source = build.source(PROGRAM)
    rebuild = "build it again: python docs/tour/build.py tutorial"
    assert [(cell.id, cell.source) for cell in kept.cells] == [(c.id, c.source) for c in source.cells], rebuild
    assert kept.metadata == source.metadata and kept.metadata.kernelspec.name == "python3"
    assert [is_solution(cell) for cell in kept.cells] == [is_solution(cell) for cell in source.cells], rebuild
    holds(kept)
    assert "1,500 pictures to train on" in printed(kept)
    assert NOTEBOOK.stat().st_size < 500_000


def test_every_exercise_has_its_solution(build):
    cells = build.source(PROGRAM).cells
    asked = [i for i, cell in enumerate(cells) if "**Exercise" in cell.source]
    numbers = [int(n) for i in asked for n in re.findall(r"\*\*Exercise (\d+)\.\*\*", cells[i].source)]
    assert numbers == list(range(1, SOLUTIONS + 1))
    assert [i for i, cell in enumerate(cells) if is_solution(cell)] == [i + 1 for i in asked]
    headings = [cell.source.partition("\n")[0] for cell in cells if cell.cell_type == "markdown"]
    assert [heading for heading in headings if heading.startswith("# Section")] == SECTIONS


def test_links_lead_somewhere():
    lines = PROGRAM.read_text(encoding="utf-8").splitlines()
    links = re.findall(r"\]\(([^)#]+)\)", "\n".join(line for line in lines if line.startswith("# ")))
    assert links and not [link for link in links if not (EXAMPLES / link).exists()]


def test_only_colab_installs(first_cell):
    run = first_cell(PROGRAM)
    for repository, colab in (("", True), ("", False), ("https://a.b/c", False)):
        with pytest.raises(SystemExit, match=r"minicnn is not installed.*pip install -e \."):
            run(repository, colab)
    (command,) = run("https://a.b/c", colab=True)
    assert command[1:4] == ["-m", "pip", "install"] and command[-1] == "git+https://a.b/c"
