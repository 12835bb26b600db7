"""Half of the AlexNet of 2012, for a process that has the one half and knows another one that has the other.

Each half has every second part of all layers: 48 filters of conv1's 96, with LRN among themselves, 128 of conv2's 256
and so on. Before conv3, fc6, fc7 and fc8 and behind the last, the halves exchange what they have made; conv2, conv4 and
conv5 see what lies on their own side. This is ``alexnet_2012(groups=2, norm_across_halves=False)`` on two devices.

    0:  x - conv1 - conv2 -+- conv3 - conv4 - conv5 -+- fc6 -+- fc7 -+- fc8 -+- scores - loss
    1:  x - conv1 - conv2 -+- conv3 - conv4 - conv5 -+- fc6 -+- fc7 -+- fc8 -+- scores - loss
"""

from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import manual_seed, models, nn, optim

LR, MOMENTUM = 0.003, 0.9


class Border:
    """What lies between this half, number `rank`, and the other: a pipe, and a list of the bytes that went through."""

    def __init__(self, rank: int, pipe: Connection) -> None:
        self.rank, self.pipe = rank, pipe
        self.sent: list[int] = []

    def swap(self, mine: np.ndarray) -> np.ndarray:
        """Send an array, and get the other half's, of the same shape. EOFError if the other half has ended."""
        mine = np.ascontiguousarray(mine)
        if self.rank == 0:
            self.pipe.send_bytes(mine)
            theirs = self.pipe.recv_bytes()
        else:  # the other way round: if both waited for the other to receive, they would wait for ever
            theirs = self.pipe.recv_bytes()
            self.pipe.send_bytes(mine)
        self.sent.append(mine.nbytes)
        return np.frombuffer(theirs, mine.dtype).reshape(mine.shape)


class Exchange(minicnn.Function):
    """y = both halves of the channels, of which x is this process's.

    Both processes use both halves, and each computes the gradient of its own use: x's is the sum of the two.
    """

    def forward(self, x, border):
        self.border = border
        halves = [x, border.swap(x)]
        return np.concatenate(halves if border.rank == 0 else halves[::-1], axis=1)

    def backward(self, grad_out):
        halves, rank = np.split(grad_out, 2, axis=1), self.border.rank
        return halves[rank] + self.border.swap(halves[1 - rank])


class HalfAlexNet(nn.Module):
    """One half; its parameters are in the order of the whole network's."""

    def __init__(self, border: Border, num_classes: int, width: int) -> None:
        super().__init__()
        self.border = border
        self.conv1, self.conv2 = nn.Conv2d(3, 48, 11, stride=4), nn.Conv2d(48, 128, 5, padding=2)
        self.conv3 = nn.Conv2d(256, 192, 3, padding=1)
        self.conv4, self.conv5 = nn.Conv2d(192, 192, 3, padding=1), nn.Conv2d(192, 128, 3, padding=1)
        self.fc6, self.fc7 = nn.Linear(256 * 6 * 6, width // 2), nn.Linear(width, width // 2)
        self.fc8 = nn.Linear(width, num_classes // 2)
        self.norm, self.pool = nn.LocalResponseNorm(5, 1e-4, 0.75, k=2.0), nn.MaxPool2d(3, 2)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = self.pool(self.norm(conv(x).relu()))
        x = self.conv3(self.both(x)).relu()
        x = self.pool(self.conv5(self.conv4(x).relu()).relu())
        x = self.both(self.avgpool(x)).flatten(1)  # (N, 9216), the first half's channels in front
        for fc in (self.fc6, self.fc7):
            x = self.both(fc(x).relu())
        return self.both(self.fc8(x))

    def both(self, x):
        return Exchange.apply(x, border=self.border)


def whole_net(num_classes: int, width: int, **options: Any) -> models.AlexNet:
    """The network in one piece, in float64, with the same initial weights each time: He's, as those of 2012, of 0.01,
    learn next to nothing in a few steps."""
    manual_seed(0)
    model = models.alexnet_2012(num_classes, dropout=0.0, width=width, **options)
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model.astype(np.float64)


def train(model: nn.Module, images: np.ndarray, labels: np.ndarray, steps: int, share: float = 1.0) -> list[float]:
    """The loss of each step. share: the part of the gradient that this process computes."""
    optimizer = optim.SGD(model.parameters(), LR, MOMENTUM)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(minicnn.Tensor(images)), labels)
        optimizer.zero_grad()
        (share * loss).backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_half(
    border: Border, images: np.ndarray, labels: np.ndarray, width: int, steps: int
) -> tuple[list[float], list[np.ndarray]]:
    """(losses, trained parameters) of one half, which begins as half of ``whole_net`` does."""
    num_classes = int(labels.max()) + 1
    half = HalfAlexNet(border, num_classes, width).astype(np.float64)
    for own, whole in zip(half.parameters(), whole_net(num_classes, width).parameters(), strict=True):
        own.data[...] = np.split(whole.numpy(), 2)[border.rank]
    losses = train(half, images, labels, steps, share=0.5)  # both compute the loss, and it is to count once
    return losses, [parameter.numpy() for parameter in half.parameters()]


def second_process(pipe: Connection) -> None:
    """The second half, to be started as a process of its own: it is told what to train on, and tells what came out."""
    try:
        pipe.send(train_half(Border(1, pipe), *pipe.recv()))
    except (EOFError, OSError):  # also within a message
        pass  # the first half has ended, and has told why
    finally:
        pipe.close()
