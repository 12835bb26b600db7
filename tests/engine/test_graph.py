"""The graph as DOT text, and as a picture."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from paths import ROOT

import minicnn.functional as F
from minicnn import Function, Tensor, models, nn, tier
from minicnn.graph import ARITHMETIC, OWN, STYLES


def leaf(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


def labels(dot):
    """{number: label} of the boxes."""
    return {
        number: label.split("\\n")
        for number, label in re.findall(r'^  (\w+) \[label="(.*?)", shape', dot, re.MULTILINE)
    }


def arrows(dot):
    """(from, to, shape), by the first lines of the labels."""
    first = {number: lines[0] for number, lines in labels(dot).items()}
    found = re.findall(r'(\w+) -> (\w+) \[label=" (.*?)"', dot)
    return sorted((first[start], first[end], shape) for start, end, shape in found)


def test_boxes_and_arrows_with_shapes():
    x, w = Tensor(np.ones((2, 3))), leaf(3, 4)
    dot = (x @ w).sum().graph({"w": w})
    assert isinstance(dot, str) and dot.startswith("digraph {") and dot.endswith("}\n")
    assert arrows(dot) == [
        ("MatMul", "Sum", "2 x 4"),
        ("Sum", "result", "number"),
        ("tensor", "MatMul", "2 x 3"),
        ("w", "MatMul", "3 x 4"),
    ]


def test_what_asks_for_a_gradient_has_a_solid_outline():
    x, constant = leaf(2), Tensor(np.ones(2))
    lines = (x * constant).graph({"x": x, "constant": constant}).splitlines()
    assert {line.split('"')[1]: "dashed" in line for line in lines if "shape=box" in line} == {
        "x": False,
        "constant": True,
    }


def test_a_leaf_and_a_node_stand_once_however_often_they_are_used():
    x = leaf(2)
    y = x * x
    dot = (y + y).graph()
    assert sorted(lines[0] for lines in labels(dot).values()) == ["Add", "Mul", "result", "tensor"]
    assert len(arrows(dot)) == 5


def test_a_leaf_alone():
    x = leaf(2, 1)
    assert arrows(x.graph({"x": x})) == [("x", "x", "2 x 1")]


def test_an_absent_input_is_left_out():
    dot = F.linear(leaf(2, 3), leaf(4, 3)).graph()
    assert len(arrows(dot)) == 3


def test_parameters_stand_in_the_box_of_their_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2, bias=False))
    x, loss = Tensor(np.ones((2, 3, 3, 3), np.float32)), None
    loss = F.cross_entropy(model(x), np.array([0, 1]))
    boxes = [
        ["tensor"],
        ["0 Conv2d", "weight  4 x 3 x 3 x 3", "bias  4"],
        ["1 BatchNorm", "weight, bias, running_mean, running_var  4"],
        ["Reshape"],
        ["3 Linear", "weight  2 x 4"],
        ["CrossEntropy"],
        ["result"],
    ]
    assert list(labels(loss.graph(model)).values()) == boxes
    assert len(arrows(loss.graph(model))) == len(boxes) - 1
    boxes[2][1] = "weight, bias  4"  # whoever names parameters alone sees no buffers
    assert list(labels(loss.graph(model.named_parameters())).values()) == boxes
    unnamed = list(labels(loss.graph()).values())  # then they have the names of forward's arguments
    assert unnamed[1:3] == [["Conv2d", "weight  4 x 3 x 3 x 3", "bias  4"], ["BatchNorm", "weight, bias  4"]]


def test_a_parameter_of_two_layers_is_named_in_both_boxes():
    a = nn.Linear(3, 3, bias=False)
    b = nn.Linear(3, 3, bias=False)
    b.weight = a.weight
    dot = b(a(Tensor(np.ones((1, 3), np.float32)))).graph({"a.weight": a.weight})
    assert [lines for lines in labels(dot).values() if "a Linear" in lines] == [["a Linear", "weight  3 x 3"]] * 2
    both = nn.Linear(2, 2)
    dot = both(Tensor(np.ones((1, 2), np.float32))).graph({"x.weight": both.weight, "y.bias": both.bias})
    assert ["Linear", "x.weight  2 x 2", "y.bias  2"] in labels(dot).values()


def test_names_with_quotation_marks(tmp_path):
    name = 'a "name" \\ {with} <marks>'
    x = leaf(2)
    dot = (x * 2).graph({name: x})
    assert 'label="a \\"name\\" \\\\ {with} <marks>"' in dot
    assert 'label="a\\\\0b"' in (x * 2).graph({"a\0b": x})  # no text file has a NUL


def test_a_graph_that_is_freed():
    loss = (leaf(2) * leaf(2)).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match=r"graph\(\): backward\(\) has freed the graph; ask before it"):
        loss.graph()


@pytest.mark.parametrize("names", [3, ["conv1"], [leaf(2)]])
def test_names_that_are_none(names):
    with pytest.raises(TypeError, match=r"graph\(\): names is a Module or \{name: tensor\}, not a (int|list)"):
        (leaf(2) * 2).graph(names)


def test_kinds_of_ops_differ_in_colour_and_in_outline():
    """And the table names pages that there are; losses are among them."""
    pages = {path.stem for path in (ROOT / "minicnn" / "ops").glob("*.py")}
    assert set(STYLES) <= pages
    assert {page for page in pages if page.endswith("_loss")} <= set(STYLES), "a loss is drawn as arithmetic"
    styles = {*STYLES.values(), ARITHMETIC, OWN}
    outlines = {re.sub(r', fillcolor="#\w+"', "", style) for style in styles}
    assert len(outlines) == len(styles), "without colours, two kinds look the same"
    x = leaf(2, 3)
    found = {op: re.search(rf'"{op}", (shape=\w+)', dot)[1] for op, dot in {
        "Exp": x.exp().graph(), "Sum": x.sum().graph(), "Reshape": x.reshape(3, 2).graph(),
        "MatMul": (x @ leaf(3, 2)).graph(), "ReLU": F.relu(x).graph(),
        "CrossEntropy": F.cross_entropy(x, np.array([0, 1])).graph(),
    }.items()}  # fmt: skip
    assert found == {
        "Exp": "shape=hexagon", "Sum": "shape=hexagon", "Reshape": "shape=cds", "MatMul": "shape=box",
        "ReLU": "shape=ellipse", "CrossEntropy": "shape=doubleoctagon",
    }  # fmt: skip


def test_an_op_of_ones_own():
    class Square(Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x

    assert "shape=component" in Square.apply(leaf(2)).graph()


def test_resnet_50_is_no_wider_than_a_page():
    """595 points; and its spine is straight."""
    if not shutil.which("dot"):
        pytest.skip("Graphviz, which draws the graph, is not installed")
    with tier("plain"):
        model = models.resnet50(num_classes=10)
        dot = model(Tensor(np.ones((2, 3, 32, 32), np.float32))).graph(model)
    svg = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, encoding="utf-8", check=True).stdout
    assert int(re.search(r'<svg width="(\d+)pt"', svg)[1]) <= 595
    assert dot.count("Conv2d") == 53 and dot.count("running_var") == 53


def test_a_notebook_shows_the_picture(monkeypatch):
    dot = (leaf(2) * 2).graph()
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: subprocess.CompletedProcess(args, 0, "<svg/>"))
    assert dot._repr_mimebundle_() == {"text/plain": dot, "image/svg+xml": "<svg/>"}


def test_without_graphviz_a_notebook_shows_the_text_and_what_to_install(monkeypatch):
    dot = (leaf(2) * 2).graph()
    monkeypatch.setenv("PATH", "")
    bundle = dot._repr_mimebundle_()
    assert bundle.keys() == {"text/plain"}
    assert bundle["text/plain"].startswith(dot) and "install Graphviz" in bundle["text/plain"].removeprefix(dot)
