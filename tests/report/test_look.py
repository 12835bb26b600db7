"""Grad-CAM against its formula, and feature maps; the network is left as it was."""

import numpy as np
import pytest
from checks import raises

from minicnn import Tensor, models, nn
from minicnn.report.look import feature_maps, grad_cam, last_maps


class Small(nn.Module):
    """Whose gradient can be written down: scores are weighted means of maps behind a ReLU."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.pool(self.relu(self.conv(x))).flatten(1))


def test_grad_cam_is_its_formula():
    model, rng = Small(), np.random.default_rng(0)
    images = rng.standard_normal((2, 3, 6, 7)).astype(np.float32)
    name, heat = grad_cam(model, images, [2, 0])
    assert name == "relu"
    maps = np.maximum(model.conv(Tensor(images)).numpy(), 0)  # (N, 4, 6, 7); a score's gradient in them is fc / 42
    for i, chosen in enumerate([2, 0]):
        expected = np.maximum((model.fc.weight.numpy()[chosen][:, None, None] * maps[i]).sum(axis=0), 0)
        np.testing.assert_allclose(heat[i], expected / expected.max(), rtol=1e-4, atol=1e-5)
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    "model, side, expected",
    [
        (models.resnet18(num_classes=3), 64, ("layer4", 1)),
        (models.alexnet(num_classes=3), 99, ("features.11", 1)),
        (models.googlenet(num_classes=3, aux_logits=False), 64, ("inception5b", 1)),
    ],
    ids=["resnet18", "alexnet", "googlenet"],
)
def test_the_last_maps(model, side, expected):
    assert last_maps(model, np.zeros((1, 3, side, side), np.float32)) == expected


def test_the_second_call_of_a_layer():
    class Twice(Small):
        def forward(self, x):
            return self.fc(self.pool(self.relu(self.relu(self.conv(x)) * 2)).flatten(1))

    model = Twice()
    image = np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype(np.float32)
    assert last_maps(model, image) == ("relu", 2)
    assert grad_cam(model, image, [1])[1].shape == (1, 6, 6)


def test_without_maps():
    with raises(ValueError, "no layer of this network makes maps"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), np.zeros((1, 3, 2, 2), np.float32), [0])


def test_feature_maps_of_some_convolutions():
    image = np.random.default_rng(0).standard_normal((1, 3, 48, 48)).astype(np.float32)
    model = models.resnet18(num_classes=3)
    found = feature_maps(model, image)
    assert found[0][0] == "conv1" and len(found) == 5 and model.training
    assert found[0][1].shape == (16, 24, 24)
    whole = model.eval().conv1(Tensor(image)).numpy()[0]
    spread = whole.std(axis=(1, 2))
    assert {each.tobytes() for each in found[0][1]} == {whole[i].tobytes() for i in np.argsort(-spread)[:16]}
