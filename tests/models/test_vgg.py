"""VGG (its numbers: test_parity.py): initial weights, stages, transfer."""

import numpy as np
import pytest
from checks import check_close

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad, pretrained


def images(size=32):
    return Tensor(np.random.default_rng(0).standard_normal((2, 3, size, size), dtype=np.float32))


def test_initial_weights():
    """He's (fan_out) in convolutions, N(0, 0.01) in the classifier, as torchvision's."""
    manual_seed(0)
    model = models.vgg11_bn(width=64)
    for name, layer in model.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            std = (2 / (9 * layer.out_channels)) ** 0.5 if isinstance(layer, nn.Conv2d) else 0.01
            assert abs(layer.weight.numpy().std() / std - 1) < 0.05, name
            assert not layer.bias.numpy().any()


@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
def test_it_is_cut_behind_each_block(name):
    model = getattr(models, name)(num_classes=5, width=8).eval()
    with no_grad():
        shapes = [nn.output_of(model, stage, images()).shape[1:] for stage in model.stages]
    blocks = [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2), (512, 1, 1)]
    assert shapes == [*blocks, (8,), (8,)]


def test_transfer():
    """The head is the last Linear; what is frozen to a stage has no gradient, what is behind it has one."""
    model = pretrained.replace_head(models.vgg11(width=8), 3)
    assert pretrained.head(model) is model.classifier[6] and model.classifier[6].out_features == 3
    pretrained.freeze_to(model, model.stages[2])
    F.cross_entropy(model(images()), [0, 2]).backward()
    learning = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert learning == {f"features.{i}" for i in (11, 13, 16, 18)} | {f"classifier.{i}" for i in (0, 3, 6)}
    assert len(pretrained.layer_groups(model, lr=1.0, factor=0.5)) == 5


def test_a_larger_picture_is_averaged_to_the_window():
    model = models.vgg11(num_classes=5, width=8).eval()
    with no_grad():
        x = images(64)
        features = model.avgpool(model.features(x))
        assert features.shape == (2, 512, 7, 7)
        check_close(model(x).numpy(), model.classifier(features.flatten(1)).numpy(), 1e-6)
