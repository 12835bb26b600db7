"""examples/notebooks: each runs whole, and what is shown is what its program gives."""

import re

import pytest
from notebooks import outputs, pictures, printed, shows_something
from paths import NOTEBOOKS

PROGRAMS = {path.stem: path for path in sorted(NOTEBOOKS.glob("*.py"))}
REBUILD = "build it again: python docs/tour/build.py"


def numbers(pattern, text):
    """What the pattern's brackets hold, of its only place in the text, as numbers."""
    (found,) = re.findall(pattern, text)
    return [float(number) for number in ([found] if isinstance(found, str) else found)]


def train_and_report(text):
    (same, of) = numbers(r"(\d+) of (\d+) arrays of weights and statistics are the same, bit for bit", text)
    assert same == of > 0 and "goes on behind epoch 1, batch 3\n" in text
    assert "checkpoint_best.npz, checkpoint_last.npz, log.csv, report.html, report.npz\n" in text
    wrong, of, megabytes = numbers(r"(\d+) of (\d+) wrong; the report has ([\d.]+) MB", text)
    sure, right = numbers(r"epoch 5: on average (\d+) % sure, (\d+) % right", text)
    assert of == 300 and wrong < 60 and megabytes < 2 and sure > 50  # chance: 270
    assert right == round(100 - 100 * wrong / 300)


def own_pictures(text):
    (same,) = numbers(r"again and again: (\d+) %", text)
    tuned, scratch = numbers(r"from the weights for textures: (\d+) %, from nothing (\d+) %", text)
    assert min(same, scratch) > 50 and tuned > 70  # chance: 33
    assert f"another version each time:         {scratch:.0f} %" in text
    named = [float(part) for part in re.findall(r"([\d.]+)%  (?:apple|banana|cherries)\n", text)]
    assert len(named) == 3 and sum(named) == pytest.approx(100, abs=0.2)


def export_and_look_inside(text):
    (right,) = numbers(r"(\d+) % of 300 new pictures right", text)
    assert right > 80 and "heat of layer3" in text
    for name in ("model", "fused"):
        (agreed,) = numbers(rf"{name}: .* the same class for (\d+) of 300, scores within 1e-5", text)
        assert agreed == 300
    plain, fused = numbers(r"(?s)model: (\d+) nodes.*fused: (\d+) nodes", text)
    assert fused < plain
    assert "the same scores: True\n" in text and "NumPy: the same memory True\n" in text
    if "PyTorch" in text:
        assert "PyTorch: the same memory True and channels-last True\nscores of it agree: True\n" in text
        assert "a state dict of PyTorch's tensors: True\n" in text
    if "JAX" in text:
        assert "JAX: 300 of 300 classes are the same\n" in text


HOLDS = {each.__name__: each for each in (train_and_report, own_pictures, export_and_look_inside)}
PICTURES = {"train_and_report": 2, "own_pictures": 3, "export_and_look_inside": 3}


def holds(name, notebook):
    """What is so whatever the processor."""
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    drawn = pictures(notebook)
    assert len(drawn) == PICTURES[name] and all(shows_something(picture) for picture in drawn)
    HOLDS[name](printed(notebook))


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_runs(name, build):
    if name == "export_and_look_inside":
        for package in ("onnx", "onnxruntime", "safetensors"):
            pytest.importorskip(package, reason=f"{package}, which this notebook is about, is not installed")
    holds(name, build.executed(PROGRAMS[name]))


def test_there_are_three():
    assert PROGRAMS.keys() == HOLDS.keys() == {path.stem for path in NOTEBOOKS.glob("*.ipynb")}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_notebook_is_the_programs(name, build):
    """Cell by cell; its outputs are those of a whole run, small enough to be kept."""
    path = PROGRAMS[name].with_suffix(".ipynb")
    kept, source = build.nbformat.read(path, as_version=4), build.source(PROGRAMS[name])
    assert [(cell.id, cell.source) for cell in kept.cells] == [(c.id, c.source) for c in source.cells], REBUILD
    assert kept.metadata == source.metadata
    holds(name, kept)
    assert path.stat().st_size < 500_000
    assert not re.search(r"/tmp|/home|/root|/work", "".join(str(output) for output in outputs(kept)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_links_lead_somewhere(name):
    lines = PROGRAMS[name].read_text(encoding="utf-8").splitlines()
    links = re.findall(r"\]\(([^)#]+)\)", "\n".join(line for line in lines if line.startswith("# ")))
    assert links
    assert not [link for link in links if not link.startswith("https:") and not (NOTEBOOKS / link).exists()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_colab_installs(name, first_cell):
    if name == "export_and_look_inside":
        for package in ("onnx", "onnxruntime", "safetensors"):
            pytest.importorskip(package, reason=f"{package}, which this notebook is about, is not installed")
    run = first_cell(PROGRAMS[name])
    for repository, colab in (("", True), ("", False), ("https://a.b/c", False)):
        with pytest.raises(SystemExit, match=r"minicnn is not installed.*pip install -e .*in its clone"):
            run(repository, colab)
    assert run("", colab=False, missing=None) == run("https://a.b/c", colab=True, missing=None) == []
    (command,) = run("https://a.b/c", colab=True)
    assert command[1:4] == ["-m", "pip", "install"] and "git+https://a.b/c" in " ".join(command)
    if name == "export_and_look_inside":
        assert command[-2:] == ["minicnn[onnx,safetensors] @ git+https://a.b/c", "onnxruntime"]
