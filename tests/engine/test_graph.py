"""The graph as DOT text."""

import re

import numpy as np

from minicnn import Tensor


def leaf(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


def test_boxes_ellipses_and_arrows():
    x, w = Tensor(np.ones((2, 3))), leaf(3, 4)
    dot = (x @ w).sum().graph({"w": w})
    assert dot.startswith("digraph {") and dot.endswith("}\n")
    number = {label: n for n, label in re.findall(r'(n\d+) \[.*label="([^"]*)"\]', dot)}
    assert set(number) == {r"tensor\n2 x 3", r"w\n3 x 4", r"MatMul\n2 x 4", r"Sum\nnumber"}
    arrows = {tuple(pair) for pair in re.findall(r"(n\d+) -> (n\d+)", dot)}
    product = number[r"MatMul\n2 x 4"]
    assert arrows == {
        (number[r"tensor\n2 x 3"], product),
        (number[r"w\n3 x 4"], product),
        (product, number[r"Sum\nnumber"]),
    }


def test_leaves_that_are_trained_have_a_colour():
    lines = (leaf(2) * Tensor(np.ones(2))).graph().splitlines()
    assert sum("lightblue" in line for line in lines) == sum("fillcolor=white" in line for line in lines) == 1


def test_a_leaf_and_a_node_stand_once_however_often_they_are_used():
    x = leaf(2)
    y = x * x
    dot = (y + y).graph()
    assert dot.count("shape=box") == 1 and dot.count(r"Mul\n2") == 1
    assert dot.count("->") == 4


def test_a_leaf_alone():
    assert r'label="tensor\n2 x 1"' in leaf(2, 1).graph()


def test_an_absent_input_is_left_out():
    import minicnn.functional as F

    dot = F.linear(leaf(2, 3), leaf(4, 3)).graph()
    assert dot.count("->") == 2
