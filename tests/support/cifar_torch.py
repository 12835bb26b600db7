"""ResNets for CIFAR as they are often written in PyTorch: option A, zeros on both sides, ``linear`` at the end."""


def network(torch, depth, num_classes=10, seed=0):
    """One in evaluation mode, with random weights and running statistics through which the signal passes."""
    functional, nn = torch.nn.functional, torch.nn

    class Shorter(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.channels = channels

        def forward(self, x):
            more = self.channels // 4
            return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more, more), "constant", 0)

    class Block(nn.Module):
        def __init__(self, before, channels, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            self.shortcut = Shorter(channels) if before != channels else nn.Sequential()

        def forward(self, x):
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            return functional.relu(y + self.shortcut(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
            for number, channels in enumerate((16, 32, 64), start=1):
                before, blocks = channels if number == 1 else channels // 2, []
                for _ in range((depth - 2) // 6):
                    blocks.append(Block(before, channels, 1 if before == channels else 2))
                    before = channels
                setattr(self, f"layer{number}", nn.Sequential(*blocks))
            self.linear = nn.Linear(64, num_classes)

        def forward(self, x):
            y = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
            return self.linear(functional.avg_pool2d(y, y.shape[3]).flatten(1))

    torch.manual_seed(seed)
    model = Net()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.3, 1.0)
            nn.init.normal_(layer.bias, 0, 0.1)
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    nn.init.normal_(model.linear.weight, 0, 4.0)
    with torch.no_grad():  # so that no class has all of the pictures
        model.eval().linear.bias -= model(
            torch.randn(50, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
        ).mean(0)
    return model


def published(model):
    """What such a network's training program saves."""
    state = {f"module.{key}": tensor for key, tensor in model.state_dict().items()}
    return {"state_dict": state, "best_prec1": 91.73}
