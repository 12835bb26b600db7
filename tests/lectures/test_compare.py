"""03_compare: costs that minicnn counts are those that torchvision states."""

import pytest


def test_costs_are_torchvisions(quick, torchvision):
    check(quick("03_compare")["result"]["networks"], torchvision)


@pytest.mark.lectures
def test_costs_of_all_networks(default, torchvision):
    networks = default("03_compare")["result"]["networks"]
    check(networks, torchvision)
    assert len(networks) == 18
    cheap, alexnet, vgg = (networks[arch] for arch in ("mobilenet_v2", "alexnet", "vgg16"))
    assert cheap["multiply_adds"] < alexnet["multiply_adds"] / 2 and cheap["top1"] > alexnet["top1"] + 15
    assert vgg["multiply_adds"] > 8 * networks["resnet18"]["multiply_adds"]


def check(networks, torchvision):
    for arch, net in networks.items():
        stated = torchvision.models.get_model_weights(arch).IMAGENET1K_V1.meta
        heads = 3_326_696 if arch == "inception_v3" else 0  # its card counts the auxiliary head, GoogLeNet's does not
        assert net["parameters"] == stated["num_params"] - heads
        assert net["multiply_adds"] / 1e9 == pytest.approx(stated["_ops"], rel=0.005, abs=6e-4)
        assert net["top1"] == stated["_metrics"]["ImageNet-1K"]["acc@1"]
