"""np.seterr(all="raise") finds what is wrong, and not that small numbers become 0."""

import numpy as np
import pytest

import minicnn.functional as F
from minicnn import Tensor, models, nn, optim

OPS = {
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "leaky_relu": lambda x: F.leaky_relu(x * 1e-20, 1e-30),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cross_entropy": lambda x: F.cross_entropy(x, [2]),
    "nll_loss": lambda x: F.nll_loss(x * 1e-10, [1], np.full(3, 1e-20, np.float32)),
    "mse_loss": lambda x: F.mse_loss(x * 1e-30, np.zeros((1, 3), np.float32)),
    "product": lambda x: x * 1e-38 * 1e-38,
    "linear": lambda x: F.linear(x * 1e-25, Tensor(np.full((2, 3), 1e-25, np.float32))),
}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
def test_underflow_is_no_error(place, op):
    x = place.tensor(np.array([[-200.0, 1e-30, 200.0]], np.float32), requires_grad=True)
    if place.device == "cuda" and op is OPS["linear"]:
        pytest.skip("the second factor of this case is on the processor")
    with np.errstate(all="raise"):
        op(x).sum().backward()


def test_what_is_wrong_is_still_raised():
    with np.errstate(all="raise"):
        for wrong in (lambda x: x.log(), lambda x: (x * -1e30).exp()):
            with pytest.raises(FloatingPointError):
                wrong(Tensor(np.array([-1.0, -2.0], np.float32)))


def test_training_in_tiny_numbers_is_no_error(place):
    """The optimiser's own products and sums: a rate, a decay and a momentum times what is tiny already."""
    w = place.tensor(np.full(3, 1e-37, np.float32), requires_grad=True)
    optimizer = optim.SGD([w], lr=1e-3, momentum=0.9, weight_decay=1e-4)
    with np.errstate(all="raise"):
        for _ in range(3):
            w.grad = place.tensor(np.full(3, 1e-38, np.float32))
            optimizer.step()


def alexnet():
    """In small: a convolution of each kind, with what is around them in the network of 2012."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        *(nn.Dropout(0.5), nn.Linear(32, 3)),
    )


def resnet():
    return models.cifar_resnet(8, num_classes=3)


@pytest.mark.parametrize("make", [alexnet, resnet])
@pytest.mark.parametrize("scale", [1, 1e-20])
def test_a_step_of_training_raises_nothing(place, make, scale):
    if place.device == "cuda":
        pytest.skip("np.seterr is about the processor")
    model, rng = make(), np.random.default_rng(0)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    with np.errstate(all="raise"):
        for _ in range(2):
            x = place.tensor((rng.standard_normal((4, 3, 16, 16)) * scale).astype(np.float32))
            optimizer.zero_grad()
            F.cross_entropy(model(x), rng.integers(0, 3, 4)).backward()
            optimizer.step()
    assert all(np.isfinite(parameter.numpy()).all() for parameter in model.parameters())
