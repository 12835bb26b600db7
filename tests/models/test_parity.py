"""Our networks are torchvision's: the same keys, and from the same weights the same numbers, layer by layer, the
same gradients and the same training."""

import numpy as np
import pytest
from parity import CLASSES, check_same_numbers, images, our_layers, their_layers, twins

import minicnn.functional as F
from minicnn import Tensor, no_grad, tier
from minicnn.optim import SGD

VGGS = ["vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
NETS = ["alexnet", *RESNETS, *VGGS, "googlenet", "inception_v3", "mobilenet_v2", "shufflenet_v2_x1_0"]
SMALL = dict.fromkeys(VGGS, (32, 41)) | {"inception_v3": (75, 84)}  # pixels, where they are not 64 x 73
DTYPES = [(np.float32, 1e-4), (np.float64, 1e-9)]


FEW = {"alexnet", "resnet18", "resnet50", "vgg11_bn", "googlenet", "inception_v3", "mobilenet_v2", "shufflenet_v2_x1_0"}


# in every run one of each family; the others are the same code, with more layers
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in FEW else [pytest.mark.slow]) for n in NETS])
def test_the_output_of_every_layer(torch, torchvision, name):
    """Within 1e-4 (float32) or 1e-9 (float64) of the layer's largest number; the logits within 1e-4 or 1e-9."""
    ours, theirs = twins(torch, torchvision, name)
    ours.eval(), theirs.eval()
    for dtype, tolerance in DTYPES:
        x = images(2, *SMALL.get(name, (64, 73))).astype(dtype)
        with no_grad(), torch.no_grad():
            values = our_layers(ours.astype(dtype), Tensor(x))
            expected = their_layers(theirs.to(torch.from_numpy(x).dtype), torch.from_numpy(x))
        by_name = [sorted(each, key=lambda pair: pair[0]) for each in (values, expected)]  # a shortcut may come first
        for (layer, value), (same_layer, other) in zip(*by_name, strict=True):
            assert layer == same_layer
            assert value.dtype == dtype
            check_same_numbers(value, other, tolerance, layer)
        logits, other = values[-1][1], expected[-1][1]
        assert logits.shape == (2, CLASSES) and 0.5 < np.abs(other).max() < 200
        assert np.abs(logits - other).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "on", "dtype", "tolerance"),
    [
        pytest.param("alexnet", "fast", np.float32, 1e-4, marks=pytest.mark.slow),
        ("resnet18", "plain", np.float32, 1e-4),  # a few batch norms magnify what Winograd rounds, to several %
        ("resnet18", "fast", np.float64, 1e-9),
        ("vgg11", "fast", np.float64, 1e-9),  # in vgg11_bn, batch norm leaves the biases before it no gradient
        # in float32, its batch norms of 24 numbers do so with any rounding
        pytest.param("resnet50", "fast", np.float64, 1e-9, marks=pytest.mark.slow),
    ],
)
def test_three_steps_of_training(torch, torchvision, name, on, dtype, tolerance):
    """Every gradient of the first step, and every weight and running statistic after three, within `tolerance` of the
    largest number of its array; and how far it has moved, a small difference of large numbers, within 100 times that.
    """
    with tier(on):
        compare_three_steps(torch, torchvision, name, dtype, tolerance)


def compare_three_steps(torch, torchvision, name, dtype, tolerance):
    ours, theirs = twins(torch, torchvision, name)
    ours, theirs = ours.astype(dtype), theirs.to(torch.from_numpy(np.zeros(1, dtype)).dtype)
    before = {key: tensor.numpy().copy() for key, tensor in ours.state_dict().items()}
    settings = {"lr": 0.001, "momentum": 0.9, "weight_decay": 5e-4}
    our_sgd, their_sgd = SGD(ours.parameters(), **settings), torch.optim.SGD(theirs.parameters(), **settings)
    for step in range(3):
        x, labels = np.roll(images(4, *SMALL.get(name, (64, 73))), step).astype(dtype), [step, 2, 5, 1]
        our_sgd.zero_grad()
        their_sgd.zero_grad()
        F.cross_entropy(ours(Tensor(x)), labels).backward()
        torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.tensor(labels)).backward()
        if step == 0:
            expected = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
            for key, parameter in ours.named_parameters():
                check_same_numbers(parameter.grad.numpy(), expected[key], tolerance, f"the gradient of {key}")
        our_sgd.step()
        their_sgd.step()
    expected = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}
    for key, tensor in ours.state_dict().items():
        check_same_numbers(tensor.numpy(), expected[key], tolerance, key)
        moved, same_way = tensor.numpy() - before[key], expected[key] - before[key]
        check_same_numbers(moved, same_way, 100 * tolerance, f"how far {key} has moved")


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("googlenet", (32, 41), {"dropout_aux": 0.0}),
        ("inception_v3", (75, 84), {"aux_logits": False}),  # its head takes 299 pixels
        ("mobilenet_v2", (64, 73), {}),
        ("shufflenet_v2_x1_0", (64, 73), {}),
    ],
)
def test_gradients_and_running_statistics(torch, torchvision, name, size, options):
    """Of one batch in training, in float64, within 1e-9 of the largest number of each array. A shift that a batch norm
    behind it takes away has a gradient of rounding alone: within 1e-12 of the largest number of all gradients."""
    ours, theirs = twins(torch, torchvision, name, **options)
    ours, theirs, x, labels = ours.astype(np.float64), theirs.double(), images(4, *size), [0, 2, 5, 1]
    summed_loss(ours(Tensor(x)), labels, F.cross_entropy).backward()
    summed_loss(theirs(torch.from_numpy(x)), torch.tensor(labels), torch.nn.functional.cross_entropy).backward()
    expected = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    least = 1e-3 * max(np.abs(grad).max() for grad in expected.values())
    for key, parameter in ours.named_parameters():
        check_same_numbers(parameter.grad.numpy(), expected[key], 1e-9, f"the gradient of {key}", least)
    expected = dict(theirs.named_buffers())
    for key, buffer in ours.named_buffers():
        check_same_numbers(buffer.numpy(), expected[key].numpy(), 1e-9, key)


def summed_loss(outputs, labels, cross_entropy):
    """The loss of the scores, and 0.3 and 0.4 times those of auxiliary heads, if there are any."""
    scores, *others = outputs if isinstance(outputs, tuple) else [outputs]
    loss = cross_entropy(scores, labels)
    for weight, other in zip((0.3, 0.4), others, strict=False):
        loss = loss + weight * cross_entropy(other, labels)
    return loss
