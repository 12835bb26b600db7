"""A table in a notebook: as HTML, once, wherever in the cell it was made."""

import re
import shutil

import numpy as np
import pytest

from minicnn import nn, notebook, summary

MODEL = (
    "import numpy as np, minicnn\nfrom minicnn import Tensor, nn\nmodel = nn.Sequential(nn.Linear(3, 2), nn.ReLU())\n"
)


def outputs(*cells):
    """What each cell shows, when a notebook runs: [(kind of output, its data)]."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat, which notebooks are files of, is not installed")
    client = pytest.importorskip("nbclient", reason="nbclient, which runs notebooks, is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel, in which notebooks run, is not installed")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client.NotebookClient(book, timeout=120).execute()
    return [[(each.output_type, each.get("data", each.get("text"))) for each in cell.outputs] for cell in book.cells]


def test_a_notebook_shows_it_once():
    last, between, again, later, printed, graph, undrawn = outputs(
        MODEL + "minicnn.summary(model, (3,))",
        "table = minicnn.summary(model, (3,))\nother = minicnn.summary(nn.Linear(3, 4), (3,))",
        "table",
        "table",
        "print(table)",
        "model(Tensor(np.ones((1, 3), np.float32))).graph(model)",
        "import os; os.environ['PATH'] = ''; (Tensor([1.0], requires_grad=True) * 2).graph()",
    )
    ((kind, shown),) = last
    assert kind == "display_data" and shown["text/html"].count("<tr>") == 4 and "0 Linear" in shown["text/plain"]
    assert [data["text/html"].count("<tr>") for _, data in between] == [4, 3]
    assert [data for _, data in again] == [data for _, data in later] == [shown]
    assert printed == [("stream", shown["text/plain"] + "\n")]
    ((_, shown),) = graph
    assert shown["text/plain"].startswith("digraph {") and ("image/svg+xml" in shown) == bool(shutil.which("dot"))
    ((_, shown),) = undrawn
    assert shown.keys() == {"text/plain"} and "install Graphviz" in shown["text/plain"].splitlines()[-1]


def test_html():
    class Layer_of_a_name(nn.ReLU):
        pass

    Layer_of_a_name.__name__ = "<b>&"
    table = summary(nn.Sequential(nn.Conv2d(3, 4, 3), Layer_of_a_name()), (3, 5, 5))
    html = table._repr_mimebundle_()["text/html"]
    assert "1 &lt;b&gt;&amp;" in html and "<b>" not in html
    cells = re.findall(r'<t[hd] style="text-align:(\w+)">(.*?)</t[hd]>', html)
    assert len(cells) == 4 * 6 and [side for side, _ in cells[:6]] == ["left"] * 3 + ["right"] * 3
    words = re.sub("-{3,}", "", str(table)).split()
    assert " ".join(text for _, text in cells).replace("&lt;b&gt;&amp;", "<b>&").split() == words


def test_plain_python_prints_it(capsys, monkeypatch):
    monkeypatch.setattr(notebook, "_shell", lambda: None)
    table = summary(nn.Linear(3, 2), (3,))
    assert capsys.readouterr().out == f"{table}\n"
    assert np.array_equal(table.rows[0].output, (2,))
