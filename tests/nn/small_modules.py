"""Two small networks with a part of every kind: what tests of Modules look into."""

import numpy as np

from minicnn import Tensor, nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.norm = nn.BatchNorm2d(2)
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout())
        self.constant = Tensor([1.0])

    def forward(self, x):
        return self.layers(x * self.scale)


KEYS = ["scale", "norm.weight", "norm.bias", "layers.0.weight", "layers.0.bias"]
BUFFERS = ["norm.running_mean", "norm.running_var"]
STATE = [*KEYS[:3], *BUFFERS, *KEYS[3:]]  # layer by layer


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.other = nn.Linear(3, 3, bias=False)
        self.other.weight = self.first.weight
        self.register_buffer("a", Tensor([1.0]))
        self.register_buffer("b", self.a)
