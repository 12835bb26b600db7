"""The tour: every chapter runs, and the notebook that is shown is what its program prints and draws."""

import copy
import os
import re
import subprocess
import sys

import pytest
from checks import there_is_a_compiler
from notebooks import outputs, pictures, shows_something
from paths import NOTEBOOKS, ROOT

TOUR = ROOT / "docs" / "tour"
CHAPTERS = {path.stem: path for path in sorted(TOUR.glob("[0-9]_*.py"))}
EMULATED = [name for name, path in CHAPTERS.items() if "MINICNN_EMULATE_GPU" in path.read_text(encoding="utf-8")]
REBUILD = "build it again: python docs/tour/build.py"


def shown(build, chapter):
    """The notebook that is kept beside the chapter."""
    path = chapter.with_suffix(".ipynb")
    assert path.exists(), f"there is no {path.name}; {REBUILD}"
    return build.nbformat.read(path, as_version=4)


def without_pixels(notebook):
    """The file's contents, each picture exchanged for a word."""
    notebook = copy.deepcopy(notebook)
    for output in outputs(notebook):
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = "a picture"
    return notebook


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapter_runs_and_is_what_is_shown(name, build):
    if name in EMULATED and not there_is_a_compiler():
        pytest.skip("the emulated GPU needs a C++20 compiler: c++, g++, clang++ or what CXX names")
    run, kept = build.executed(CHAPTERS[name]), shown(build, CHAPTERS[name])
    drawn, kept_drawn = pictures(run), pictures(kept)
    new, old = without_pixels(run), without_pixels(kept)
    other = [cell.source for cell, kept_cell in zip(new.cells, old.cells, strict=False) if cell != kept_cell]
    assert new == old, f"{name}.ipynb is not what {name}.py gives, at {other[:1]}; {REBUILD}"
    assert drawn, "every chapter has a picture"
    for picture, kept_picture in zip(drawn, kept_drawn, strict=True):  # whose pixels depend on matplotlib's release
        for pixels in (picture, kept_picture):
            assert shows_something(pixels)
        height, width = (new / old for new, old in zip(picture.shape[:2], kept_picture.shape[:2], strict=True))
        assert 0.9 < height < 1.1 and 0.9 < width < 1.1, f"a picture has another size; {REBUILD}"


def test_every_notebook_has_its_chapter():
    assert {path.stem for path in TOUR.glob("*.ipynb")} == set(CHAPTERS) and len(CHAPTERS) >= 1


@pytest.mark.parametrize("name", CHAPTERS)
def test_links_lead_somewhere(name):
    lines = CHAPTERS[name].read_text(encoding="utf-8").splitlines()
    words = "\n".join(line for line in lines if line.startswith("# "))  # kernel[grid, block](x) is no link
    links = re.findall(r"\]\(([^)#]+)\)", words)
    assert links
    assert not [link for link in links if not link.startswith("https:") and not (TOUR / link).exists()]


def test_chapters_begin_alike(build):
    """With the title, then the cell that gets minicnn where it is missing: the same in all of them."""
    cells = [build.source(path).cells[:2] for path in CHAPTERS.values()]
    assert all(title.cell_type == "markdown" and title.source.startswith("# ") for title, _ in cells)
    assert len({setup.source for _, setup in cells}) == 1


def test_a_chapter_is_a_program(tmp_path):
    """It prints what the notebook shows."""
    command = [sys.executable, CHAPTERS["1_backprop"]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    notebook = (TOUR / "1_backprop.ipynb").read_text(encoding="utf-8")
    assert done.stdout and all(f"{line}\\n" in notebook for line in done.stdout.splitlines() if '"' not in line)


def without(package, program, folder):
    """Run the program in a Python that cannot find the package."""
    lines = (
        "import importlib.util, runpy, sys",
        "found, program = importlib.util.find_spec, sys.argv[2]",
        "sys.modules[sys.argv[1]] = None",  # what Python notes of a package that may not be imported
        "importlib.util.find_spec = lambda name: None if name == sys.argv[1] else found(name)",
        "runpy.run_path(program, run_name='__main__')",
    )
    command = [sys.executable, "-c", "; ".join(lines), package, program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("package", ["minicnn", "matplotlib"])
def test_without_what_it_needs_a_chapter_says_how_to_get_it(package, tmp_path):
    done = without(package, CHAPTERS["1_backprop"], tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"{package} is not installed" in done.stderr and "pip install -e ." in done.stderr


@pytest.mark.parametrize("package", ["jupytext", "nbclient", "ipykernel"])
def test_without_what_makes_notebooks_the_build_says_so_in_a_line(package, tmp_path):
    pytest.importorskip(package, reason=f"{package}, which is to be missed alone, is not installed")
    done = without(package, TOUR / "build.py", tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"{package} is not installed" in done.stderr and "pip install -e '.[tour]'" in done.stderr


@pytest.mark.parametrize("name", EMULATED)
def test_without_a_compiler_a_chapter_says_so_in_a_line(name, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "CXX"} | {"PATH": str(tmp_path)}
    command = [sys.executable, CHAPTERS[name]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "needs a C++20 compiler" in done.stderr and "CXX" in done.stderr


CHAPTER = "# %% [markdown]\n# # Title\n\n# %%\n{}\n"


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("import sys; sys.exit('no compiler')", "SystemExit: no compiler"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import warnings; warnings.warn('it is old')", "UserWarning: it is old"),
    ],
)
def test_what_went_wrong_is_one_line(line, complaint, build, tmp_path):
    chapter = tmp_path / "chapter.py"
    chapter.write_text(CHAPTER.format(line))
    with pytest.raises(build.ChapterError) as caught:
        build.executed(chapter)
    assert re.fullmatch(f"chapter.py: .*{complaint}", str(caught.value))  # . matches no line break


def test_stderr_is_not_kept_and_what_repeats_is_the_same_file(build, tmp_path):
    """A figure is drawn, lines go to both streams: two runs give the same bytes."""
    chapter = tmp_path / "chapter.py"
    lines = "from minicnn.console import complain", "import matplotlib.pyplot as plt", "complain('minicnn: compiling')"
    chapter.write_text(CHAPTER.format("\n".join([*lines, "print('one')", "plt.plot([1, 3, 2])", "plt.show()"])))
    first, second = (build.text(build.executed(chapter)) for _ in range(2))
    assert first == second
    assert "compiling\\n" not in first.split('"source"')[0] and "image/png" in first and '"one\\n"' in first


def test_an_unknown_chapter(build):
    there_are = ", ".join([*CHAPTERS, "tutorial", *sorted(path.stem for path in NOTEBOOKS.glob("*.py"))])
    assert build.main(["6_transformers"]) == f"there is no chapter 6_transformers; there are {there_are}"
