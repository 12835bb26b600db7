"""Fully convolutional networks: where their maps lie, what enlarges them, what is kept of a classifier."""

import copy

import numpy as np
import pytest
from checks import check_close, raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad, optim, pretrained, tier
from minicnn.models.fcn import Enlarge, fcn
from minicnn.models.grid import Grid, maps_of

NETS = ["alexnet", "vgg11_bn", "resnet18", "mobilenet_v2", "googlenet"]
NETS += [pytest.param(name, marks=pytest.mark.slow) for name in ("alexnet_2012", "shufflenet_v2_x1_0", "inception_v3")]


def network(name, **options):
    manual_seed(0)
    if name.startswith(("alexnet", "vgg")):
        options |= {"width": 8}
    return getattr(models, name)(num_classes=5, **options).eval()


def small(stride, classes=4, **options):
    """A ResNet-8 for CIFAR, whose stages lie at the strides 1, 2 and 4, with scores of some numbers in float64."""
    manual_seed(0)
    model = fcn(models.cifar_resnet(8), classes, stride).astype(np.float64)
    for score in model.scores:
        nn.init.normal_(score.weight)
        nn.init.normal_(score.bias)
    return model.eval()


def images(height, width, count=1, dtype=np.float64):
    return Tensor(np.random.default_rng(0).standard_normal((count, 3, height, width)).astype(dtype))


# Where maps lie


@pytest.mark.parametrize(
    "name, stage, expected",
    [
        ("alexnet", "features.5", Grid(16, 15.0)),
        pytest.param("vgg11", "features.10", Grid(8, 3.5), marks=pytest.mark.slow),
        ("resnet18", "layer2", Grid(8, 0.0)),
        ("shufflenet_v2_x1_0", "stage2", Grid(8, 0.0)),
        ("googlenet", "inception3a", Grid(8, 6.0)),
        pytest.param("inception_v3", "Mixed_5b", Grid(8, 13.0), marks=pytest.mark.slow),
    ],
)
def test_a_position_lies_in_the_middle_of_what_it_sees(name, stage, expected):
    """The pixels that have a gradient, if no weight and no path is without one, are those that the position sees."""
    options = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    model = network(name, **options)
    layers = list(model.features) if name in ("alexnet", "vgg11") else model.trunk()
    place = [id(layer) for layer in layers].index(id(dict(model.named_modules())[stage]))
    found = maps_of(layers)[place]
    assert found.grid == expected
    for module in list(model.modules()):
        for key, layer in list(module._modules.items()):
            if isinstance(layer, nn.Conv2d):
                layer.weight.detach()[...] = 1.0 / layer.weight[0].size  # positive: nothing is cut off by a ReLU
            if isinstance(layer, nn.MaxPool2d):  # which looks at one position of its window alone
                setattr(module, key, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode))
    x = Tensor(np.ones((1, 3, 151, 167), np.float32), requires_grad=True)
    with tier("plain"):  # whose zeros are zeros, and not what a faster algorithm leaves of a difference
        y = nn.output_of(model, stage, x)
        row, column = y.shape[2] // 2, y.shape[3] // 2 - 1
        y[0, :, row, column].sum().backward()
    assert y.shape[1] == found.channels
    seen = (x.grad.numpy() != 0).any(axis=(0, 1))
    for position, line in ((row, seen.any(axis=1)), (column, seen.any(axis=0))):
        pixels = np.flatnonzero(line)
        assert pixels[0] > 0 and pixels[-1] < len(line) - 1  # nothing of it is cut off
        assert (pixels[0] + pixels[-1]) / 2 == expected.offset + expected.stride * position


def test_grids_that_cannot_be_told():
    with raises(ValueError, "rows", "columns", "alike"):
        maps_of([nn.Conv2d(3, 2, (3, 1))])
    with raises(ValueError, "Conv2d 1", "128 high", "two grids", "offset=0.0", "offset=0.5", "odd"):
        maps_of([nn.Conv2d(3, 2, 3, padding="same"), nn.Conv2d(2, 2, 4, padding="same")])


# What enlarges them


@pytest.mark.parametrize("ratio", [2, 8, 32])
def test_between_pixels_it_is_interpolate(ratio):
    """Of maps as VGG's, whose positions lie between pixels, and to the border."""
    x = images(3, 4, count=2)
    enlarge = Enlarge(3, Grid(ratio, (ratio - 1) / 2), Grid(1, 0.0)).astype(np.float64)
    y = enlarge(x, (3 * ratio, 4 * ratio))
    check_close(y.numpy(), F.interpolate(x, scale_factor=ratio, mode="bilinear").numpy(), 1e-12)


@pytest.mark.parametrize("ratio", [2, 16])
def test_on_pixels_it_is_interpolate_with_aligned_corners(torch, ratio):
    """Of maps as a ResNet's, whose positions lie on pixels; behind the last the map stays as it is there."""
    x = images(3, 4)
    enlarge = Enlarge(3, Grid(2 * ratio, 0.0), Grid(2, 0.0)).astype(np.float64)
    height, width = 2 * ratio + 1, 3 * ratio + 1
    y = enlarge(x, (height + 2, width + ratio + 1)).numpy()
    expected = torch.nn.functional.interpolate(
        torch.tensor(x.numpy()), (height, width), mode="bilinear", align_corners=True
    )
    check_close(y[:, :, :height, :width], expected.numpy(), 1e-12)
    check_close(y[:, :, height:, width:], np.broadcast_to(y[:, :, -3:-2, -3:-2], y[:, :, height:, width:].shape), 1e-12)


def test_places_far_outside():
    """A plane stays a plane between the outermost positions, wherever the coarse grid begins."""
    rows, columns = np.mgrid[:4, :5].astype(np.float64)
    for offset in (-3.0, 2.5, 19.0):
        coarse = Grid(8, offset)
        plane = Tensor((2 * (offset + 8 * rows) - (offset + 8 * columns))[None, None])
        y = Enlarge(1, coarse, Grid(1, 0.0)).astype(np.float64)(plane, (61, 70)).numpy()[0, 0]
        places = [np.clip(np.arange(size), offset, offset + 8 * n) for size, n in ((61, 3), (70, 4))]
        check_close(y, 2 * places[0][:, None] - places[1], 1e-12)


def test_classes_mix_only_where_it_learns():
    between, last = small(1, classes=3).enlarge[0], small(1, classes=3).enlarge[-1]
    assert between.deconv.weight.shape == (3, 3, 3, 3) and between.deconv.weight.requires_grad
    assert last.deconv.weight.shape == (3, 1, 1, 1) and not last.deconv.weight.requires_grad


# The networks


@pytest.mark.parametrize("name", NETS)
def test_every_pixel_has_scores(name):
    inception = name in ("googlenet", "inception_v3")
    options = {"aux_logits": False, "transform_input": True} if inception else {}
    model = fcn(network(name, **options), 6, stride=8)
    assert len(model.scores) == 3 and [e.ratio for e in model.enlarge] == [2, 2, 8]
    assert all(not p.numpy().any() for p in model.scores.parameters())
    with no_grad():
        assert model(images(97, 130, 2, np.float32)).shape == (2, 6, 97, 130)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (8, 5), (31, 18)])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_any_size(stride, size):
    with no_grad():
        y = small(stride)(images(*size)).numpy()
    assert y.shape == (1, 4, *size) and np.isfinite(y).all()


def test_coarse_scores_are_the_classifiers_features_enlarged():
    backbone = network("vgg11")
    model = fcn(backbone, 4, stride=32, hidden=False).eval()
    nn.init.normal_(model.scores[0].weight)
    x = images(96, 64, dtype=np.float32)
    with no_grad():
        expected = F.interpolate(model.scores[0](backbone.features(x)), scale_factor=32, mode="bilinear").numpy()
        check_close(model(x).numpy(), expected, 1e-5 * np.abs(expected).max())


def test_a_new_stage_changes_nothing():
    coarse, x = small(4), images(19, 26)
    finer = coarse.finer(2).finer(1)
    with no_grad():
        before = coarse(x).numpy()
        check_close(finer(x).numpy(), before, 1e-12)
        nn.init.constant_(finer.scores[2].bias, 1.0)
        check_close(finer(x).numpy(), before + 1, 1e-12)
    assert finer.backbone[0] is coarse.backbone[0] and finer.scores[0] is coarse.scores[0]
    assert len(finer.scores) == 3 and finer.stride == 1
    with raises(ValueError, "finer", "smaller", "4, got 4"):
        coarse.finer(4)


def test_what_has_learnt_between_stages_goes_on():
    middle = small(2)
    nn.init.normal_(middle.enlarge[0].deconv.weight)
    x = images(16, 12)
    with no_grad():
        check_close(middle.finer(1)(x).numpy(), middle(x).numpy(), 1e-12)


def test_hidden_layers_are_the_classifiers():
    """Where the map has just the window's size, the middle position sees what the classifier sees."""
    backbone = network("vgg11")
    model = fcn(backbone, 4, stride=32).eval()
    x = images(224, 224, dtype=np.float32)
    with no_grad():
        hidden = backbone.classifier[:6](backbone.features(x).flatten(1)).numpy()
        found = model.backbone(x).numpy()
    assert found.shape == (1, 8, 7, 7)
    check_close(found[:, :, 3, 3], hidden, 1e-4 * np.abs(hidden).max())
    assert model.backbone[21].weight.size == 512 * 49 * 8
    assert not any(isinstance(layer, nn.Linear) for layer in model.modules())


def test_its_layers_are_the_classifiers_own():
    backbone = models.cifar_resnet(8)
    model = fcn(backbone, 3, stride=1)
    own = {id(p) for p in backbone.parameters()} - {id(p) for p in backbone.fc.parameters()}
    assert {id(p) for p in model.backbone.parameters()} == own
    other = fcn(copy.deepcopy(backbone), 3, stride=1)
    assert not own & {id(p) for p in other.parameters()}
    assert copy.deepcopy(model).load_state_dict(model.state_dict()) is not None


def test_it_learns_and_the_backbone_with_it():
    """From scores of 0 the first step moves the scores alone, the second the backbone too; what is frozen stays."""
    manual_seed(0)
    model = fcn(models.cifar_resnet(8), 3, stride=1)
    x, labels = images(12, 10, 2, np.float32), np.random.default_rng(1).integers(0, 3, (2, 12, 10)).astype(np.uint8)
    labels[0, :4] = 255
    optimizer, before = optim.SGD(model.parameters(), lr=0.5), copy.deepcopy(model.state_dict())
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(model(x), labels, ignore_index=255)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(np.log(3), rel=1e-6) and losses[-1] < losses[0] - 0.03
    moved = {key for key, value in model.state_dict().items() if not np.array_equal(value.numpy(), before[key].numpy())}
    still = {key for key in before if key not in moved}
    assert still == {f"enlarge.{len(model.enlarge) - 1}.deconv.weight"}


def test_transfers_tools_know_its_stages():
    model = fcn(models.cifar_resnet(8), 3, stride=1)
    groups = pretrained.layer_groups(model, lr=1.0, factor=0.1)
    assert [round(group["lr"], 6) for group in groups] == [1.0, 0.1, 0.01, 0.001]
    heads = {id(p) for p in [*model.scores.parameters(), *model.enlarge[:-1].parameters()]}
    assert {id(p) for p in groups[0]["params"]} == heads
    pretrained.freeze_to(model, "backbone.4")
    assert not model.backbone[4][0].conv1.weight.requires_grad and model.backbone[5][0].conv1.weight.requires_grad


def test_scores_become_probabilities_pixel_by_pixel():
    with no_grad():
        p = small(1)(images(5, 6)).softmax(dim=1).numpy()
    check_close(p.sum(axis=1), np.ones((1, 5, 6)), 1e-12)


def test_errors():
    with raises(ValueError, "fcn", "stride must be one of 1, 2, 4", "got 32"):
        fcn(models.cifar_resnet(8), 3, stride=32)
    with raises(ValueError, "takes", "AlexNet", "ResNet", "not Sequential"):
        fcn(nn.Sequential(nn.Conv2d(3, 4, 3)), 3)
    with raises(ValueError, "fcn", "num_classes", "0"):
        fcn(models.cifar_resnet(8), 0, stride=1)
    model = network("alexnet")
    model.classifier[6] = nn.Identity()
    with raises(ValueError, "fcn", "AlexNet", "nn.Linear", "Identity"):
        fcn(model, 3)
