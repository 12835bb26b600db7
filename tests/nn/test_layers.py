"""Layers: with PyTorch's settings and PyTorch's state they compute what PyTorch's layers compute."""

import inspect

import numpy as np
import pytest
from checks import check_close, raises

from minicnn import Tensor, manual_seed, nn
from minicnn.nn import fused

IMAGES, ROWS = (3, 4, 6, 7), (5, 4)
LAYERS = [
    ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, IMAGES),
    ("Conv2d", (4, 6, (2, 3)), {"padding": "same", "dilation": 2, "bias": False}, IMAGES),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, IMAGES),
    ("ConvTranspose2d", (4, 3, (2, 3)), {"dilation": (1, 2), "output_padding": (0, 1), "bias": False}, IMAGES),
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
    ("LeakyReLU", (0.2,), {}, ROWS),
    ("ReLU6", (), {}, ROWS),
    ("Sigmoid", (), {}, ROWS),
    ("Tanh", (), {}, ROWS),
    ("ZeroPad2d", (2,), {}, IMAGES),
    ("ZeroPad2d", ((1, -2, 0, 3),), {}, IMAGES),
    ("Upsample", (), {"scale_factor": 2}, IMAGES),
    ("Upsample", ((5, 9),), {"mode": "bilinear", "align_corners": True}, IMAGES),
    ("Upsample", (), {"scale_factor": (1.5, 2.3), "mode": "bilinear", "recompute_scale_factor": True}, IMAGES),
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


@pytest.mark.parametrize(
    "name",
    sorted({layer[0] for layer in LAYERS} | {"CrossEntropyLoss", "L1Loss", "MSELoss", "NLLLoss", "SmoothL1Loss"}),
)
def test_settings_have_pytorchs_names_order_and_defaults(torch, name):
    ours = inspect.signature(getattr(nn, name)).parameters
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    more = {"groups": 1} if name == "LocalResponseNorm" else {}  # which PyTorch lacks, behind its own
    assert list(ours) == [parameter for parameter in [*theirs, *more] if parameter in ours]
    for parameter, setting in ours.items():
        if setting.default is not inspect.Parameter.empty:
            assert setting.default == (more[parameter] if parameter in more else theirs[parameter].default), parameter


@pytest.mark.parametrize(
    "layer, text",
    [
        (
            nn.Conv2d(4, 6, 3, padding=1, bias=False),
            "4, 6, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1",
        ),
        (
            nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1),
            "4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(0, 0), dilation=(1, 1), groups=1, bias=True, "
            "output_padding=(1, 1)",
        ),
        (nn.Linear(3, 2), "3, 2, bias=True"),
        (nn.BatchNorm2d(4, momentum=0.3), "4, eps=1e-05, momentum=0.3"),
        (nn.LocalResponseNorm(5), "5, alpha=0.0001, beta=0.75, k=1.0"),
        (nn.LocalResponseNorm(5, groups=2), "5, alpha=0.0001, beta=0.75, k=1.0, groups=2"),
        (nn.MaxPool2d(3, 2), "kernel_size=3, stride=2, padding=0, ceil_mode=False"),
        (nn.AvgPool2d(2), "kernel_size=2, stride=2, padding=0"),
        (nn.AdaptiveAvgPool2d((6, 6)), "(6, 6)"),
        (nn.LeakyReLU(0.2), "negative_slope=0.2"),
        (nn.ZeroPad2d(1), "(1, 1, 1, 1)"),
        (nn.Upsample(scale_factor=2), "scale_factor=(2.0, 2.0), mode='nearest'"),
        (nn.ReLU6(), "inplace=False"),
        (nn.Softmax(1), "dim=1"),
        (nn.Tanh(), ""),
    ],
)
def test_repr_shows_the_settings(layer, text):
    assert repr(layer).startswith(f"{type(layer).__name__}({text}") and repr(layer).endswith(")")


def test_nll_loss(torch):
    rng = np.random.default_rng(0)
    x, target, weight = rng.standard_normal((5, 4)), rng.integers(0, 4, 5), rng.random(4)
    options = {"ignore_index": 2, "reduction": "sum"}
    ours = nn.NLLLoss(weight, **options)(Tensor(x), target)
    theirs = torch.nn.NLLLoss(torch.from_numpy(weight), **options)(torch.from_numpy(x), torch.from_numpy(target))
    check_close(ours.numpy(), theirs.numpy(), 1e-12)


def test_cross_entropy_loss(torch):
    rng = np.random.default_rng(0)
    x, target, weight = rng.standard_normal((5, 4)), rng.integers(0, 4, 5), rng.random(4)
    options = {"ignore_index": 2, "label_smoothing": 0.1, "reduction": "sum"}
    ours = nn.CrossEntropyLoss(weight, **options)(Tensor(x), target)
    theirs = torch.nn.CrossEntropyLoss(torch.from_numpy(weight), **options)(
        torch.from_numpy(x), torch.from_numpy(target)
    )
    check_close(ours.numpy(), theirs.numpy(), 1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss(torch, reduction):
    x, target = np.random.default_rng(0).standard_normal((2, 5, 4))
    ours = nn.MSELoss(reduction=reduction)(Tensor(x), Tensor(target))
    theirs = torch.nn.MSELoss(reduction=reduction)(torch.from_numpy(x), torch.from_numpy(target))
    check_close(ours.numpy(), theirs.numpy(), 1e-12)


@pytest.mark.parametrize("name, options", [("L1Loss", {"reduction": "sum"}), ("SmoothL1Loss", {"beta": 0.5})])
def test_l1_losses(torch, name, options):
    x, target = np.random.default_rng(0).standard_normal((2, 5, 4))
    ours = getattr(nn, name)(**options)(Tensor(x), Tensor(target))
    theirs = getattr(torch.nn, name)(**options)(torch.from_numpy(x), torch.from_numpy(target))
    check_close(ours.numpy(), theirs.numpy(), 1e-12)


def test_dropout_drops_in_training_only():
    layer, x = nn.Dropout(0.5), Tensor(np.ones(1000, np.float32))
    assert 300 < (layer(x).numpy() == 0).sum() < 700
    assert layer.eval()(x) is x


@pytest.mark.parametrize(
    "layer", [nn.ReLU(inplace=True), nn.LeakyReLU(inplace=True), nn.ReLU6(inplace=True), nn.Dropout(inplace=True)]
)
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


@pytest.mark.parametrize(
    "make, error, parts",
    [
        (lambda: nn.Conv2d(0, 4, 3), ValueError, ["Conv2d", "in_channels", "at least 1", "0"]),
        (lambda: nn.Conv2d(3, -4, 3), ValueError, ["Conv2d", "out_channels", "-4"]),
        (lambda: nn.Conv2d(3, 4.0, 3), TypeError, ["Conv2d", "out_channels", "4.0"]),
        (lambda: nn.Conv2d(3, 4, 0), ValueError, ["Conv2d", "kernel_size", "0"]),
        (lambda: nn.Conv2d(3, 4, (3, 0)), ValueError, ["Conv2d", "kernel_size", "0"]),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), TypeError, ["Conv2d", "kernel_size", "pair"]),
        (lambda: nn.Conv2d(3, 4, "3"), TypeError, ["Conv2d", "kernel_size", "'3'"]),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, ["Conv2d", "stride", "0"]),
        (lambda: nn.Conv2d(3, 4, 3, stride=2.0), TypeError, ["Conv2d", "stride", "2.0"]),
        (lambda: nn.Conv2d(3, 4, 3, False), TypeError, ["Conv2d", "stride", "False"]),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), ValueError, ["Conv2d", "padding", "-1"]),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError, ["Conv2d", "padding", "'full'", "'same'"]),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), ValueError, ["Conv2d", "same", "stride"]),
        (lambda: nn.Conv2d(3, 4, 3, dilation=0), ValueError, ["Conv2d", "dilation", "0"]),
        (lambda: nn.Conv2d(4, 4, 3, groups=2.0), TypeError, ["Conv2d", "groups", "2.0"]),
        (lambda: nn.Conv2d(3, 4, 3, bias=np.ones(4)), TypeError, ["Conv2d", "bias", "True or False", "ndarray"]),
        (lambda: nn.ConvTranspose2d(3, 4, 3, groups=2), ValueError, ["ConvTranspose2d", "groups 2", "in_channels 3"]),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), TypeError, ["ConvTranspose2d", "padding", "'same'"]),
        (
            lambda: nn.ConvTranspose2d(3, 4, 3, 2, output_padding=(1, 2)),
            ValueError,
            ["ConvTranspose2d", "output_padding", "stride 2", "dilation 1", "got 2"],
        ),
        (lambda: nn.Linear(0, 5), ValueError, ["Linear", "in_features", "0"]),
        (lambda: nn.Linear(5, -1), ValueError, ["Linear", "out_features", "-1"]),
        (lambda: nn.Linear(5.0, 2), TypeError, ["Linear", "in_features", "5.0"]),
        (lambda: nn.Linear(5, Tensor([1])), TypeError, ["Linear", "out_features", "Tensor"]),
        (lambda: nn.BatchNorm2d(0), ValueError, ["BatchNorm2d", "num_features"]),
        (lambda: nn.BatchNorm2d(4, eps=0), ValueError, ["BatchNorm2d", "eps", "above 0"]),
        (lambda: nn.BatchNorm2d(4, eps=-1e-5), ValueError, ["BatchNorm2d", "eps", "-1e-05"]),
        (lambda: nn.BatchNorm2d(4, momentum=None), TypeError, ["BatchNorm2d", "momentum", "number", "None"]),
        (lambda: nn.BatchNorm2d(4, momentum=1.5), ValueError, ["BatchNorm2d", "momentum", "at most 1"]),
        (lambda: nn.BatchNorm2d(4, affine="no"), TypeError, ["BatchNorm2d", "affine", "'no'"]),
        (lambda: nn.LocalResponseNorm(0), ValueError, ["LocalResponseNorm", "size", "0"]),
        (lambda: nn.LocalResponseNorm(5, groups=0), ValueError, ["LocalResponseNorm", "groups", "0"]),
        (lambda: nn.LocalResponseNorm(2.5), TypeError, ["LocalResponseNorm", "size", "2.5"]),
        (lambda: nn.LocalResponseNorm(5, alpha=np.nan), ValueError, ["LocalResponseNorm", "alpha", "finite", "nan"]),
        (lambda: nn.MaxPool2d(0), ValueError, ["MaxPool2d", "kernel_size", "0"]),
        (lambda: nn.MaxPool2d(2, 0), ValueError, ["MaxPool2d", "stride", "0"]),
        (lambda: nn.MaxPool2d(3, padding=2), ValueError, ["MaxPool2d", "padding", "half", "3"]),
        (lambda: nn.MaxPool2d(3, dilation=0), ValueError, ["MaxPool2d", "dilation"]),
        (lambda: nn.AvgPool2d((2, -1)), ValueError, ["AvgPool2d", "kernel_size", "-1"]),
        (lambda: nn.AvgPool2d(2, ceil_mode=1), TypeError, ["AvgPool2d", "ceil_mode", "1"]),
        (lambda: nn.AvgPool2d(2, count_include_pad="no"), TypeError, ["AvgPool2d", "count_include_pad"]),
        (lambda: nn.AdaptiveAvgPool2d(0), ValueError, ["AdaptiveAvgPool2d", "output_size", "0"]),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), TypeError, ["AdaptiveAvgPool2d", "output_size", "pair"]),
        (lambda: nn.Dropout(5), ValueError, ["Dropout", "p", "at most 1", "5"]),
        (lambda: nn.Dropout(-0.1), ValueError, ["Dropout", "p", "-0.1"]),
        (lambda: nn.Dropout(np.nan), ValueError, ["Dropout", "p", "nan"]),
        (lambda: nn.Dropout("0.5"), TypeError, ["Dropout", "p", "'0.5'"]),
        (lambda: nn.Dropout(True), TypeError, ["Dropout", "p", "True"]),
        (lambda: nn.ReLU(64), TypeError, ["ReLU", "inplace", "64"]),
        (lambda: nn.ReLU6(64), TypeError, ["ReLU6", "inplace", "64"]),
        (lambda: nn.LeakyReLU("0.1"), TypeError, ["LeakyReLU", "negative_slope", "'0.1'"]),
        (lambda: nn.LeakyReLU(0.1, 64), TypeError, ["LeakyReLU", "inplace", "64"]),
        (lambda: nn.Softmax(1.0), TypeError, ["Softmax", "dim", "1.0"]),
        (lambda: nn.LogSoftmax(None), TypeError, ["LogSoftmax", "dim", "None"]),
        (lambda: nn.Flatten("1"), TypeError, ["Flatten", "start_dim", "'1'"]),
        (lambda: nn.CrossEntropyLoss(reduction="average"), ValueError, ["CrossEntropyLoss", "reduction", "'average'"]),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, ["CrossEntropyLoss", "label_smoothing", "2"]),
        (lambda: nn.NLLLoss(reduction="average"), ValueError, ["NLLLoss", "reduction", "'average'"]),
        (lambda: nn.ZeroPad2d((1, 2)), TypeError, ["ZeroPad2d", "(left, right, top, bottom)", "(1, 2)"]),
        (lambda: nn.SmoothL1Loss(beta=-1), ValueError, ["SmoothL1Loss", "beta", "-1"]),
        (lambda: nn.Upsample(), ValueError, ["Upsample", "size or scale_factor"]),
        (lambda: nn.Upsample(2, mode="cubic"), ValueError, ["Upsample", "mode", "'cubic'"]),
        (lambda: nn.Upsample(2, align_corners=True), ValueError, ["Upsample", "align_corners", "bilinear"]),
        (lambda: nn.Upsample(scale_factor=-1), ValueError, ["Upsample", "scale_factor", "-1"]),
        (lambda: nn.Upsample((2, 0)), ValueError, ["Upsample", "size", "0"]),
        (lambda: nn.ZeroPad2d(1.5), TypeError, ["ZeroPad2d", "padding", "1.5"]),
        (lambda: nn.MSELoss("average"), ValueError, ["MSELoss", "reduction", "'average'"]),
        (lambda: nn.CrossEntropyLoss(ignore_index=0.5), TypeError, ["CrossEntropyLoss", "ignore_index", "0.5"]),
    ],
)
def test_settings_that_cannot_be_are_refused_where_they_are_given(make, error, parts):
    with raises(error, *parts):
        make()


def test_settings_of_numpy_are_as_good_as_pythons():
    two, pair = np.int64(2), np.array([2, 1])
    layers = [
        (
            nn.Conv2d(two, np.int8(4), pair, stride=pair, padding=np.array(1), groups=two),
            nn.Conv2d(2, 4, (2, 1), (2, 1), 1, groups=2),
        ),
        (nn.MaxPool2d(pair, [2, two]), nn.MaxPool2d((2, 1), (2, 2))),
        (nn.AdaptiveAvgPool2d(pair), nn.AdaptiveAvgPool2d((2, 1))),
        (nn.BatchNorm2d(two, eps=np.float32(0.5), momentum=np.float64(0.1)), nn.BatchNorm2d(2, 0.5, 0.1)),
        (nn.Dropout(np.float64(0)), nn.Dropout(0.0)),
    ]
    x = Tensor(np.random.default_rng(0).standard_normal((2, 2, 5, 6)).astype(np.float32))
    for ours, expected in layers:
        expected.load_state_dict(ours.state_dict())
        check_close(ours(x).numpy(), expected(x).numpy(), 0)
        assert repr(ours) == repr(expected)


@pytest.mark.parametrize("size", [None, (None, 2), (3, None), 2])
def test_adaptive_pooling_may_keep_a_size(torch, size):
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5))
    expected = torch.nn.AdaptiveAvgPool2d(size if size is not None else (None, None))(torch.from_numpy(x))
    check_close(nn.AdaptiveAvgPool2d(size)(Tensor(x)).numpy(), expected.numpy(), 1e-12)


def test_a_bias_that_there_is_not_may_come_later():
    layer = nn.Linear(2, 3, bias=False)
    assert layer.bias is None and list(layer.state_dict()) == ["weight"]
    layer.bias = nn.Parameter(np.ones(3, np.float32))
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_class_weights_go_where_the_loss_goes():
    loss = nn.CrossEntropyLoss(Tensor([1.0, 2.0])).astype(np.float64)
    assert loss.weight.dtype == np.float64 and list(loss.state_dict()) == ["weight"]
    assert loss(Tensor(np.zeros((1, 2))), [1]).dtype == np.float64


def test_a_chain_of_layers_is_one_after_the_other():
    layers = [nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.0)]
    x = Tensor(np.random.default_rng(0).standard_normal((3, 2, 4, 4), np.float32))
    expected = nn.Sequential(*layers)(x).numpy()
    check_close(fused.chain(x, *layers).numpy(), expected, 1e-6)
    other = Tensor(np.ones((3, 2, 4, 4), np.float32))
    expected = nn.ReLU()(layers[0](x) + other).numpy()
    for norm in (layers[0], nn.Sequential(layers[0])):  # in one op, and not
        check_close(fused.chain(x, norm, nn.ReLU(), residual=other).numpy(), expected, 1e-6)
