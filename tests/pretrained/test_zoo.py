"""Networks by their names, with published weights, and with another head."""

import numpy as np
import pytest
from parity import without_initial_weights

import minicnn
from minicnn.models import names
from minicnn.pretrained import ARCHS, WeightsError, loading


def test_every_name_is_a_network():
    listed = minicnn.list_models()
    assert listed == sorted(names.KNOWN) and len(listed) > 25
    with without_initial_weights():
        for name in listed:
            model = minicnn.create_model(name, num_classes=7)
            assert minicnn.pretrained.head(model).out_features == 7 and model.training
        assert minicnn.pretrained.head(minicnn.create_model("resnet18")).out_features == 1000
        assert minicnn.pretrained.head(minicnn.create_model("resnet20")).out_features == 10


def test_lists():
    assert minicnn.list_models("vgg1?_bn") == ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    assert minicnn.list_models(pretrained=True) == sorted(ARCHS)
    assert minicnn.list_models("resnet1*", pretrained=True) == ["resnet101", "resnet152", "resnet18"]
    assert minicnn.list_models("nothing*") == []


def test_published_weights_and_a_new_head(monkeypatch):
    """The file is one of the network's own initial weights."""
    name = "shufflenet_v2_x1_0"
    minicnn.manual_seed(0)
    source, asked = minicnn.create_model(name), []
    monkeypatch.setattr(loading, "fetch", lambda url: asked.append(url) or "file.pth")
    monkeypatch.setattr(loading, "_contents", lambda path: loading.Contents(
        {key: np.asarray(tensor) for key, tensor in source.state_dict().items()}, {}))  # fmt: skip
    same, other = minicnn.create_model(name, True), minicnn.create_model(name, "IMAGENET1K_V1", num_classes=5)
    assert len(asked) == 2 and all("shufflenetv2_x1-5666bf0f80.pth" in url for url in asked)
    for model, classes in ((same, 1000), (other, 5)):
        assert not any(module.training for module in model.modules())
        assert minicnn.pretrained.head(model).out_features == classes
        kept = [np.array_equal(a, b) for (key, a), (_, b) in zip(
            model.state_dict().items(), source.state_dict().items(), strict=True) if not key.startswith("fc.")
        ]  # fmt: skip
        assert all(kept) and len(kept) > 200
    assert np.array_equal(same.state_dict()["fc.weight"], source.state_dict()["fc.weight"])


def test_names_that_are_none():
    with pytest.raises(ValueError, match=r"create_model: there is no network 'ResNet-50', but resnet50, .*list_models"):
        minicnn.create_model("ResNet-50")
    with pytest.raises(ValueError, match=r"there is no network 'vit_b_16'; minicnn.list_models"):
        minicnn.create_model("vit_b_16")
    with pytest.raises(ValueError, match=r"models.create: there is no network 'vgg18', but vgg1"):
        minicnn.models.create("vgg18", 3)
    with pytest.raises(WeightsError, match=r"there are no weights for 'resnet20'"):
        minicnn.create_model("resnet20", pretrained=True)
    with pytest.raises(WeightsError, match=r"alexnet has no weights 'V9'; it has IMAGENET1K_V1"):
        minicnn.create_model("alexnet", "V9")
