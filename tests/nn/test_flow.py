"""flow: the ops of a network, by the names of its layers."""

import numpy as np
import pytest

from minicnn import models, nn
from minicnn.nn.flow import INPUT, flow

IMAGE = np.zeros((1, 3, 32, 32), np.float32)


def test_a_residual_network():
    model = models.resnet18(num_classes=3)
    steps = flow(model, IMAGE)
    at = {step.name: number for number, step in enumerate(steps)}
    assert len(at) == len(steps)  # names are unique
    assert steps[0] == ("conv1", "Conv2d", (INPUT,), (64, 16, 16), 9408)
    block = steps[at["layer2.0.ResidualAdd"]]
    assert {steps[number].name for number in block.inputs} == {"layer2.0.bn2", "layer2.0.downsample.1"}
    assert block.shape == (128, 4, 4) and steps[at["layer2.0.relu 2"]].inputs == (at["layer2.0.ResidualAdd"],)
    assert sum(step.parameters for step in steps) == sum(p.size for p in model.parameters())
    assert steps[-1].name == "fc" and model.training and all(p.grad is None for p in model.parameters())


def test_a_block_gives_its_name_to_what_joins_its_branches():
    names = {step.name for step in flow(models.googlenet(num_classes=3, aux_logits=False), IMAGE)}
    assert {"inception3a.Cat", "inception3a.branch2.0.conv"} <= names


@pytest.mark.parametrize("frozen", [False, True])
def test_a_layer_that_lets_all_pass_has_no_step(frozen):
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(1800, 2))
    for parameter in model.parameters():
        parameter.requires_grad = not frozen
    assert [(step.name, step.inputs) for step in flow(model, IMAGE)] == [
        ("0", (-1,)), ("2", (0,)), ("3", (1,)), ("4", (2,)),
    ]  # fmt: skip


def test_dropout_gives_no_other_op_its_name():
    names = [step.name for step in flow(models.alexnet(num_classes=3), np.zeros((1, 3, 67, 67), np.float32))]
    assert "Reshape" in names and not {"classifier.0", "classifier.3"} & set(names)
