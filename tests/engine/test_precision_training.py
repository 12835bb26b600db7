"""A network learns in bfloat16 what it learns in float32, on the emulated GPU: a residual net, pictures of 8 x 8."""

import numpy as np
import pytest
from checks import FAST_GPU, needs_compiler

import minicnn
import minicnn.functional as F
from minicnn import Tensor, nn
from minicnn.optim import SGD

pytestmark = [needs_compiler, pytest.mark.slow, pytest.mark.gpu]

CLASSES, BATCH, STEPS, TESTED = 3, 16, 20, 96
SEEDS = (0, 1, 2)


class Net(nn.Module):
    """A residual block of 8 channels between a strided convolution and the scores."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.conv1, self.bn1 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        y = self.conv2(F.relu(self.bn1(self.conv1(x))))
        y = F.relu(F.residual_add(self.bn2(y), x))
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))


def colours(rng, count):
    """(pictures (N, 3, 8, 8), classes (N,)): noise, in which the channel of the class is a little brighter."""
    classes = rng.integers(0, CLASSES, count)
    pictures = rng.standard_normal((count, 3, 8, 8)).astype("f")
    pictures[np.arange(count), classes] += 0.35
    return pictures, classes


def accuracy(precision, seed):
    """Of pictures that it has not seen, after STEPS steps, in percent."""
    rng = np.random.default_rng(seed)
    minicnn.manual_seed(seed)
    with FAST_GPU.active(), minicnn.precision(precision):
        net = Net().to("cuda")
        optimizer = SGD(net.parameters(), lr=0.05, momentum=0.9)
        for _ in range(STEPS):
            pictures, classes = colours(rng, BATCH)
            optimizer.zero_grad()
            F.cross_entropy(net(Tensor(pictures).to("cuda")), classes).backward()
            optimizer.step()
        pictures, classes = colours(np.random.default_rng(100 + seed), TESTED)
        net.eval()
        with minicnn.no_grad():
            scores = net(Tensor(pictures).to("cuda")).numpy()
    return 100 * (scores.argmax(1) == classes).mean()


def test_bfloat16_learns_as_much():
    found = {name: [accuracy(name, seed) for seed in SEEDS] for name in ("float32", "bfloat16")}
    spread = max(found["float32"]) - min(found["float32"])
    assert min(found["float32"]) > 60, found  # chance: 33
    assert np.mean(found["bfloat16"]) > np.mean(found["float32"]) - max(spread, 3), found
