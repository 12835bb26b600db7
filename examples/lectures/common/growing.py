"""Deep nets that compute what a shallow one does: its layers, and others that are identities."""

import numpy as np

from minicnn import models, nn

CHANNELS = 16, 32, 64  # of the stages


def resnet(blocks: int, classes: int) -> nn.Module:
    """So many blocks of two convolutions in each of its three stages."""
    return models.cifar_resnet(6 * blocks + 2, num_classes=classes)


def plain(blocks: int, classes: int) -> nn.Module:
    """The same convolutions without shortcuts and without batch norm, which keeps no numbers as they are."""
    net, channels = nn.Sequential(), 3
    for stage, width in enumerate(CHANNELS):
        for number in range(2 * blocks + (stage == 0)):
            stride = 2 if stage and number == 0 else 1
            conv = nn.Conv2d(channels, width, 3, stride, padding=1)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            setattr(net, f"stage{stage}_{number}", nn.Sequential(conv, nn.ReLU()))
            channels = width
    net.head = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(channels, classes))
    return net


def copy_with_identities(shallow: nn.Module, deep: nn.Module) -> None:
    """The weights of `shallow` into `deep`, whose other layers become identities."""
    known = shallow.state_dict()
    for name, layer in deep.named_modules():
        if f"{name}.weight" not in known and isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            own = np.arange(layer.out_channels)
            layer.weight.detach()[own, own, 1, 1] = 1.0  # behind a ReLU: what comes in is >= 0, and comes out
        if f"{name}.weight" not in known and name.endswith("bn2"):
            nn.init.zeros_(layer.weight)  # its bias is 0 already: x + F(x) = x + 0
    deep.load_state_dict(deep.state_dict() | known)
