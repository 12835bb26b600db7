"""MobileNetV2 and ShuffleNetV2 (their numbers: test_parity.py): initial weights, stages, the shuffle, transfer."""

import numpy as np
import pytest
from checks import check_close
from parity import without_initial_weights

from minicnn import Tensor, manual_seed, models, nn, no_grad, pretrained, summary
from minicnn.models.mobilenet_v2 import InvertedResidual
from minicnn.models.shufflenet_v2 import shuffled

NETS = ["mobilenet_v2", "shufflenet_v2_x1_0"]
MULTIPLY_ADDS = {"mobilenet_v2": 300_774_272, "shufflenet_v2_x1_0": 144_907_992}  # torchvision: 0.301 and 0.145 billion
SHAPES = {
    "mobilenet_v2": [(16, 32, 32), (24, 16, 16), (32, 8, 8), (96, 4, 4), (1280, 2, 2)],
    "shufflenet_v2_x1_0": [(116, 8, 8), (232, 4, 4), (464, 2, 2), (1024, 2, 2)],
}


@pytest.mark.parametrize("name", NETS)
def test_stages_and_the_table(name, capsys):
    model = getattr(models, name)().eval()
    x = Tensor(np.zeros((1, 3, 64, 64), np.float32))
    with no_grad():
        assert [nn.output_of(model, stage, x).shape[1:] for stage in model.stages] == SHAPES[name]
    table = summary(model, (3, 224, 224))
    assert table.parameters == pretrained.get(name).parameters and table.multiply_adds == MULTIPLY_ADDS[name]


@pytest.mark.parametrize("name", NETS)
def test_transfer(name):
    with without_initial_weights():
        model = pretrained.replace_head(getattr(models, name)(), 3)
    head = "fc" if name.startswith("shuffle") else "classifier.1"
    pretrained.freeze_backbone(model)
    assert [key for key, p in model.named_parameters() if p.requires_grad] == [f"{head}.weight", f"{head}.bias"]
    model.freeze(False)
    pretrained.freeze_to(model, model.stages[1])
    groups = pretrained.layer_groups(model, lr=1.0, factor=0.5)
    assert [group["lr"] for group in groups] == [0.5**i for i in range(len(model.stages) - 1)]


def test_initial_weights_of_mobilenet():
    """He's (fan_out) in convolutions, of a depthwise one 9 outputs to each input; N(0, 0.01) in the last layer."""
    manual_seed(0)
    model = models.mobilenet_v2(200)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.size > 4000:
            fan_out = layer.out_channels * layer.kernel_size[0] ** 2
            assert abs(layer.weight.numpy().std() / (2 / fan_out) ** 0.5 - 1) < 0.05, name
    assert abs(model.classifier[1].weight.numpy().std() / 0.01 - 1) < 0.05
    assert not model.classifier[1].bias.numpy().any()


@pytest.mark.parametrize("stride, channels, added", [(1, 8, True), (2, 8, False), (1, 16, False)])
def test_only_what_keeps_its_shape_is_added_to(stride, channels, added):
    """A block whose last batch norm has weight 0 passes on what comes in, or nothing."""
    block = InvertedResidual(8, channels, stride, expand=6).eval()
    block.conv[3].weight.detach()[...] = 0.0
    x = np.random.default_rng(0).standard_normal((1, 8, 6, 4), dtype=np.float32)
    y = block(Tensor(x)).numpy()
    check_close(y, x if added else np.zeros((1, channels, 6 // stride, 4 // stride), np.float32), 0)


def test_the_shuffle_deals_out_both_halves():
    x = np.arange(6.0).reshape(1, 6, 1, 1) + np.zeros((2, 1, 1, 3))
    assert shuffled(Tensor(x)).numpy()[1, :, 0, 2].tolist() == [0, 3, 1, 4, 2, 5]


def test_half_of_the_channels_rest():
    """A block of stride 1 leaves the first half as it is: it is what stands at even places behind the shuffle."""
    model = models.shufflenet_v2_x1_0(2).eval()
    x = np.random.default_rng(0).standard_normal((1, 116, 3, 4), dtype=np.float32)
    y = model.stage2[1](Tensor(x)).numpy()
    check_close(y[:, ::2], x[:, :58], 0)
    assert (y[:, 1::2] >= 0).all() and not np.allclose(y[:, 1::2], np.maximum(x[:, 58:], 0))
