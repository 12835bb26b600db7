"""The fully-convolutional form: what the scores at each position are, and that it is the same network."""

import numpy as np
import pytest
from checks import check_close, raises

import minicnn.functional as F
from minicnn import Tensor, manual_seed, models, nn, no_grad
from minicnn.models import fully_convolutional

DTYPES = [(np.float32, 1e-6), (np.float64, 1e-12)]


def images(height, width, dtype=np.float64, count=1):
    return Tensor(np.random.default_rng(0).standard_normal((count, 3, height, width)).astype(dtype))


def network(name, dtype=np.float64):
    manual_seed(0)
    if name == "cifar_resnet":
        return models.cifar_resnet(8, num_classes=5).astype(dtype).eval()
    if name in ("resnet18", "mobilenet_v2", "shufflenet_v2_x1_0"):
        return getattr(models, name)(num_classes=5).astype(dtype).eval()
    return getattr(models, name)(num_classes=5, width=8).astype(dtype).eval()


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("name", "size"), [("alexnet", 224), ("alexnet_2012", 227), ("vgg11", 224), ("resnet18", 33)])
def test_one_position_is_the_network(name, size, dtype, tolerance):
    tolerance *= 20 if name == "vgg11" else 1  # small sums of 25,088 terms
    model = network(name, dtype)
    x = images(size, size - 1 if name == "resnet18" else size, dtype, count=2)
    with no_grad():
        scores, expected = fully_convolutional(model)(x), model(x).numpy()
    assert scores.shape[2:] == ((2, 1) if name == "resnet18" else (1, 1)) and scores.dtype == dtype
    check_close(scores.mean(dim=(2, 3)).numpy(), expected, tolerance * np.abs(expected).max())


def test_alexnets_scores_are_those_of_each_window():
    model, x = network("alexnet"), images(260, 311)
    with no_grad():
        scores, features = fully_convolutional(model)(x).numpy(), model.features(x)
        assert scores.shape == (1, 5, 2, 3) and features.shape[2:] == (7, 8)
        for i, j in np.ndindex(2, 3):
            window = features[:, :, i : i + 6, j : j + 6].flatten(1)
            check_close(scores[:, :, i, j], model.classifier(window).numpy(), 1e-12)


@pytest.mark.parametrize("name", ["resnet18", "cifar_resnet", "mobilenet_v2", "shufflenet_v2_x1_0"])
@pytest.mark.parametrize("size", [(32, 32), (65, 40), (33, 71)])
def test_the_mean_of_the_scores_is_the_network(name, size):
    model, x = network(name), images(*size, count=2)
    with no_grad():
        scores = fully_convolutional(model)(x).numpy()
        check_close(scores.mean(axis=(2, 3)), model(x).numpy(), 1e-12)
    assert scores.shape[2] > 1 or name != "cifar_resnet"


def test_it_is_made_of_the_same_weights():
    model, x = network("cifar_resnet"), images(16, 16)
    dense = fully_convolutional(model)
    assert {id(p) for p in dense.parameters()} == {id(p) for p in model.parameters()}
    grads = []
    for forward in (model, lambda x: dense(x).mean(dim=(2, 3))):
        model.zero_grad()
        F.cross_entropy(forward(x), [3]).backward()
        grads.append([p.grad.numpy().copy() for p in model.parameters()])
    for ours, expected in zip(*grads, strict=True):
        check_close(ours, expected, 1e-12)


def test_dropout_stays():
    model = models.alexnet(num_classes=5, dropout=0.5, width=8)
    dropouts = [layer for layer in fully_convolutional(model) if isinstance(layer, nn.Dropout)]
    assert dropouts == [model.classifier[0], model.classifier[3]]


def test_errors():
    with raises(ValueError, "fully_convolutional", "4 x 5", "6 x 6", "larger pictures"), no_grad():
        fully_convolutional(network("alexnet"))(images(180, 200))
    networks = "AlexNet", "VGG", "MobileNetV2", "ResNet", "ShuffleNetV2"
    with raises(ValueError, "fully_convolutional", *networks, "not Sequential"):
        fully_convolutional(nn.Sequential(nn.Flatten()))
    with raises(ValueError, "fully_convolutional", *networks, "not GoogLeNet"):
        fully_convolutional(models.create("googlenet", 3))
    model = models.cifar_resnet(8)
    model.fc = nn.Sequential(nn.Linear(64, 3))
    with raises(ValueError, "fc"):
        fully_convolutional(model)
