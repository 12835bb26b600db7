"""bfloat16 from the first convolution to the scores: every activation and gradient of whole networks, on an emulated
GPU that runs no kernel, and what is launched for them.

No activation is cast, copied or packed between two layers, but where this file says why.
"""

from collections import Counter

import numpy as np
import pytest

import minicnn
import minicnn.autograd
import minicnn.functional as F
from minicnn import models, nn
from minicnn.kernels.arguments import is_channels_last
from minicnn.kernels.cuda.counting import counting
from minicnn.precision import BFLOAT16

pytestmark = pytest.mark.emulator

CLASSES = 16  # a multiple of 8: the scores' gradients are whole vectors
MOVES = ("swap_axes", "narrow", "widen", "pad_channels", "astype", "copy", "reshape")  # of a number to another place

# What moves an activation or its gradient in a step, beside narrow_images, which casts the pictures. pad_channels 2: of
# the pictures' three channels, for the first convolution and for the gradient of its weight.
PICTURES = {"narrow_images": 1, "pad_channels": 2}
FLATTEN = {"reshape": 1, "swap_axes": 1}  # of channels-last pictures of 6 x 6: (N, C * 36) in the order of C, and back
NETWORKS = {
    "resnet20": PICTURES | {"copy": 2},  # backward of two `cat`: the part of the zeros is not asked for, the other is
    "alexnet": PICTURES | FLATTEN,
    "alexnet_2012": PICTURES | FLATTEN,
    "resnet50": PICTURES,
    "googlenet": PICTURES | {"copy": 36},  # backward of nine `cat` of four
    # a group of a depthwise convolution has one channel, which is filled up to 8: x and grad_out of 17, twice each
    "mobilenet_v2": {"narrow_images": 1, "pad_channels": 2 + 17 * 4},
}


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    monkeypatch.setenv("MINICNN_EMULATE_GPU", "1")


class Recorder:
    """The results of all ops, [(op, array)], and the gradients of all inputs, [(op, the input's dtype, gradient)]."""

    def __init__(self, monkeypatch):
        self.results, self.gradients = [], []
        checked_result, gradients_of = minicnn.autograd.checked_result, minicnn.autograd.gradients_of

        def result(op, array, needs_grad):
            self.results.append((op, checked_result(op, array, needs_grad)))
            return self.results[-1][1]

        def gradients(node, grad_out):
            found = gradients_of(node, grad_out)
            pairs = zip(node.inputs, found, strict=True)
            self.gradients += [(type(node).__name__, edge.dtype, grad) for edge, grad in pairs if grad is not None]
            return found

        monkeypatch.setattr(minicnn.autograd, "checked_result", result)
        monkeypatch.setattr(minicnn.autograd, "gradients_of", gradients)


def step(network, monkeypatch):
    """(Recorder, Tally, model) of a training step that runs no kernel."""
    with counting(execute=False) as counts, minicnn.precision("bfloat16"):
        model = models.create(network, CLASSES).to("cuda").train()
        images = minicnn.Tensor(np.zeros((2, 3, 67, 67), np.float32)).to("cuda")
        labels = minicnn.Tensor(np.array([3, 1])).to("cuda")
        counts.reset()
        seen = Recorder(monkeypatch)
        scores = model(images)
        scores = scores[0] if isinstance(scores, tuple) else scores
        F.cross_entropy(scores, labels).backward()
    return seen, counts, model


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_of_a_network(network, monkeypatch):
    seen, counts, model = step(network, monkeypatch)
    (loss, value), first = seen.results.pop(), [op for op, _ in seen.results].index("Cast")
    activations = seen.results[first:]  # before it, GoogLeNet normalises its pictures
    assert loss == "CrossEntropy" and value.dtype == np.float32
    assert {array.dtype for _, array in activations} == {BFLOAT16}
    wrong = [(op, a.strides) for op, a in activations if a.ndim == 4 and op != "GetItem" and not is_channels_last(a)]
    assert not wrong  # GetItem: a view, of every second pixel

    of_weights = [grad.dtype for _, dtype, grad in seen.gradients if dtype == np.float32]
    of_activations = [(op, grad) for op, dtype, grad in seen.gradients if dtype == BFLOAT16]
    assert set(of_weights) == {np.dtype("f")} == {p.grad.dtype for p in model.parameters() if p.grad is not None}
    assert {grad.dtype for _, grad in of_activations} == {BFLOAT16} and len(of_activations) >= len(activations) - 3
    assert not [op for op, g in of_activations if g.ndim == 4 and op != "Reshape" and not is_channels_last(g)]

    launches = Counter()
    for name, count in [*counts.launches.items(), *counts.library.items()]:
        launches[name.partition("<")[0]] += count
    moved = {name: count for name, count in launches.items() if name.startswith(MOVES)}
    moved.pop("copyto", None)
    assert moved == NETWORKS[network]
    products = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    products = [m for m in products if m.weight.grad is not None]  # GoogLeNet's other two classifiers have none
    assert launches["pack_filters"] == len(products)  # once for both passes
