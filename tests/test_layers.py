"""Layers: with PyTorch's settings and PyTorch's state they compute what PyTorch's layers compute."""

import inspect

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, manual_seed, nn

IMAGES, ROWS = (3, 4, 6, 7), (5, 4)
LAYERS = [
    ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, IMAGES),
    ("Conv2d", (4, 6, (2, 3)), {"padding": "same", "dilation": 2, "bias": False}, IMAGES),
    ("Linear", (4, 3), {}, ROWS),
    ("Linear", (4, 3), {"bias": False}, ROWS),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False, "momentum": 0.3, "eps": 0.01}, IMAGES),
    ("LocalResponseNorm", (3,), {"alpha": 1.0, "k": 2.0}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, IMAGES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((2, 3),), {}, IMAGES),
    ("ReLU", (), {}, ROWS),
    ("Sigmoid", (), {}, ROWS),
    ("Tanh", (), {}, ROWS),
    ("Softmax", (), {"dim": 1}, ROWS),
    ("LogSoftmax", (), {"dim": 0}, ROWS),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (2,), {}, IMAGES),
    ("Dropout", (0.0,), {}, ROWS),
]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name, args, options, shape", LAYERS)
def test_equals_pytorchs_layer(torch, name, args, options, shape, training):
    manual_seed(0)
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options).double()
    state = {key: value for key, value in theirs.state_dict().items() if key != "num_batches_tracked"}
    assert list(ours.state_dict()) == list(state)
    ours.astype(np.float64).load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal(shape)
    for _ in range(2):  # the second time, batch norm's running statistics have moved
        y = ours.train(training)(Tensor(x))
        expected = theirs.train(training)(torch.from_numpy(x))
        check_close(y.numpy(), expected.detach().numpy(), 1e-10)
    for key, value in ours.state_dict().items():
        check_close(value.numpy(), theirs.state_dict()[key].numpy(), 1e-10)


@pytest.mark.parametrize("name", sorted({layer[0] for layer in LAYERS} | {"CrossEntropyLoss"}))
def test_settings_have_pytorchs_names_order_and_defaults(torch, name):
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    assert list(ours) == [parameter for parameter in theirs if parameter in ours]
    for parameter, setting in ours.items():
        if setting.default is not inspect.Parameter.empty:
            assert setting.default == theirs[parameter].default, parameter


@pytest.mark.parametrize(
    "layer, text",
    [
        (
            nn.Conv2d(4, 6, 3, padding=1, bias=False),
            "4, 6, kernel_size=(3, 3), stride=1, padding=1, dilation=1, groups=1",
        ),
        (nn.Linear(3, 2), "3, 2, bias=True"),
        (nn.BatchNorm2d(4, momentum=0.3), "4, eps=1e-05, momentum=0.3"),
        (nn.LocalResponseNorm(5), "5, alpha=0.0001, beta=0.75, k=1.0"),
        (nn.MaxPool2d(3, 2), "kernel_size=3, stride=2, padding=0, ceil_mode=False"),
        (nn.AvgPool2d(2), "kernel_size=2, stride=2, padding=0"),
        (nn.AdaptiveAvgPool2d((6, 6)), "(6, 6)"),
        (nn.Softmax(1), "dim=1"),
        (nn.Tanh(), ""),
    ],
)
def test_repr_shows_the_settings(layer, text):
    assert repr(layer).startswith(f"{type(layer).__name__}({text}") and repr(layer).endswith(")")


def test_cross_entropy_loss(torch):
    rng = np.random.default_rng(0)
    x, target, weight = rng.standard_normal((5, 4)), rng.integers(0, 4, 5), rng.random(4)
    options = {"ignore_index": 2, "label_smoothing": 0.1, "reduction": "sum"}
    ours = nn.CrossEntropyLoss(weight, **options)(Tensor(x), target)
    theirs = torch.nn.CrossEntropyLoss(torch.from_numpy(weight), **options)(
        torch.from_numpy(x), torch.from_numpy(target)
    )
    check_close(ours.numpy(), theirs.numpy(), 1e-12)


def test_dropout_drops_in_training_only():
    layer, x = nn.Dropout(0.5), Tensor(np.ones(1000, np.float32))
    assert 300 < (layer(x).numpy() == 0).sum() < 700
    assert layer.eval()(x) is x


@pytest.mark.parametrize("layer", [nn.ReLU(inplace=True), nn.Dropout(inplace=True)])
def test_inplace_layers_write_into_their_input(layer):
    x = Tensor(np.ones(10, np.float32))
    assert layer(x) is x


def test_frozen_batch_norm_stays_in_evaluation():
    layer = nn.BatchNorm2d(2).freeze().train()
    x = Tensor(np.random.default_rng(0).standard_normal((4, 2, 3, 3)).astype(np.float32) + 5)
    check_close(layer(x).numpy(), x.numpy() / np.sqrt(np.float32(1 + 1e-5)), 1e-5)
    assert not layer.running_mean.numpy().any() and (layer.running_var.numpy() == 1).all()


@pytest.mark.parametrize("sizes", [(3, 4, 1, 2), (4, 3, 1, 2), (4, 4, 1, 0)])
def test_groups_must_divide_the_channels(sizes):
    channels, out_channels, kernel, groups = sizes
    with raises(ValueError, "Conv2d", f"groups {groups}", f"in_channels {channels}", f"out_channels {out_channels}"):
        nn.Conv2d(channels, out_channels, kernel, groups=groups)
