"""fuse: every network of minicnn.models gives what it gave."""

import pytest
from fusion import check_same, noise
from networks import with_statistics

import minicnn
from minicnn import models, nn
from minicnn.autograd import topological_order
from minicnn.nn.fuse import Chain


def ops_of(y):
    return {type(node).__name__ for node in topological_order(y.node)}


def segmented(backbone):
    model = models.fcn(backbone, 3, stride=16)
    for score in model.scores:
        nn.init.normal_(score.weight)  # they begin as zeros
    return model


slow = pytest.mark.slow
NETWORKS = {  # a maker, the picture's side, how many batch norms stay as they are
    "resnet8": (lambda: models.cifar_resnet(8), 8, 0),
    "resnet8 B": (lambda: models.cifar_resnet(8, shortcut="B"), 8, 0),
    "plain8": (lambda: models.cifar_resnet(8, residual=False), 8, 0),
    "resnet20": (lambda: models.cifar_resnet(20), 8, 0),
    "mobilenet_v2": (lambda: models.mobilenet_v2(5), 32, 0),
    "shufflenet_v2": (lambda: models.shufflenet_v2_x1_0(5), 32, 0),
    "googlenet": (lambda: models.googlenet(5), 32, 2),  # of the auxiliary heads
    "alexnet": (lambda: models.alexnet(5, width=8), 63, 0),
    "resnet18": (lambda: models.resnet18(5), 32, 0),
    "resnet50": (lambda: models.resnet50(5), 32, 0),
    "resnet50 paper": (lambda: models.resnet50(5, shortcut="C", paper_stride=True), 32, 0),
    "vgg11_bn": (lambda: models.vgg11_bn(5, width=8), 32, 0),
    "vgg16_bn": (lambda: models.vgg16_bn(5, width=8), 32, 0),
    "vgg11": (lambda: models.vgg11(5, width=8), 32, 0),
    "alexnet_2012": (lambda: models.alexnet_2012(5, width=8), 67, 0),
    "inception_v3": (lambda: models.inception_v3(5), 75, 1 + 1),
    "fcn of resnet18": (lambda: segmented(models.resnet18()), 64, 0),
    "ssd of resnet18": (lambda: models.ssd(models.resnet18(), 3, ["layer2", "layer3"]), 64, 0),
    "dense resnet18": (lambda: models.fully_convolutional(models.resnet18(5)), 64, 0),
}
QUICK = {"resnet8", "resnet8 B", "mobilenet_v2", "shufflenet_v2", "googlenet"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [slow]) for n in NETWORKS])
def test_every_network_gives_what_it_gave(name):
    make, side, stay = NETWORKS[name]
    minicnn.manual_seed(0)
    model = with_statistics(make())
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)]
    for dtype, tolerance in (("f", 1e-5), ("d", 1e-12)):
        model.astype(dtype)
        fused = minicnn.fuse(model)
        check_same(model, fused, noise(2, 3, side, side, dtype=dtype), tolerance=tolerance)
        report = fused.fusion_report
        assert len(report.left) == stay and sorted([*report.folded, *report.left]) == sorted(names)
        assert all("evaluation" in reason for reason in report.left.values())


def test_a_resnet_is_convolutions_with_everything_in_them():
    fused = minicnn.fuse(with_statistics(models.cifar_resnet(8, shortcut="B")))
    images = noise(1, 3, 8, 8).requires_grad_()
    assert ops_of(fused(images)) == {"Conv2d", "Conv2dReLU", "AdaptiveAvgPool2d", "Reshape", "Linear"}
    assert sorted(fused.fusion_report.folded.items())[:2] == [("bn1", "conv1"), ("layer1.0.bn1", "layer1.0.conv1")]
    assert fused.fusion_report.folded["layer2.0.downsample.1"] == "layer2.0.downsample.0"
    assert "bn1: folded into conv1\n" in str(fused.fusion_report)
    assert isinstance(fused.bn1, nn.Identity) and "bn1" in dict(fused.named_modules())


def test_without_batch_norm_nothing_is_run_and_convolutions_take_their_relus():
    def forward(x):
        raise AssertionError("it is run")

    model = models.alexnet(5, width=8)
    model.avgpool.forward = forward
    fused = minicnn.fuse(model)
    assert fused.fusion_report.folded == fused.fusion_report.left == {} and not fused.training
    assert str(fused.fusion_report) == "there is no batch norm"
    assert type(fused.features) is Chain and type(model.features) is nn.Sequential
    assert "ReLU" not in ops_of(fused.features(noise(1, 3, 63, 63)))
