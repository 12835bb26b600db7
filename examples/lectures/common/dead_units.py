"""Dead units: ReLUs that are 0 for every picture, so that no gradient reaches their weights any more."""

import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import nn, optim

WIDTH, STEPS, BATCH = 128, 150, 64


def dead_share(images: np.ndarray, labels: np.ndarray, bias: float, lr: float, seed: int) -> float:
    """The share, in percent, of the ReLUs of three hidden layers that are dead after 150 steps with momentum .9.

    images float32 (N, inputs), labels int64 (N,). Weights start as He's, biases of the hidden layers at `bias`.
    """
    minicnn.manual_seed(seed)
    rng = np.random.default_rng(seed)
    parts: list[nn.Module] = []
    for inputs in (images.shape[1], WIDTH, WIDTH):
        layer = nn.Linear(inputs, WIDTH)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.constant_(layer.bias, bias)
        parts += [layer, nn.ReLU()]
    net = nn.Sequential(*parts, nn.Linear(WIDTH, int(labels.max()) + 1))
    optimizer = optim.SGD(net.parameters(), lr, momentum=0.9)
    for _ in range(STEPS):
        batch = rng.integers(0, len(images), BATCH)
        loss = F.cross_entropy(net(minicnn.Tensor(images[batch])), minicnn.Tensor(labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return dead(net, images)


def dead(net: nn.Sequential, images: np.ndarray) -> float:
    """The share, in percent, of the units behind the ReLUs of `net` that are 0 for every image.

    FloatingPointError if a unit is no number: a net whose weights have grown beyond all bounds has no dead units, but
    no living ones either.
    """
    largest: list[np.ndarray] = []

    def look(name, layer, x, y):
        if isinstance(layer, nn.ReLU):
            largest.append(y.numpy().max(axis=0))

    with minicnn.no_grad(), nn.watch(net, look):
        net(minicnn.Tensor(images))
    units = np.concatenate(largest)
    if not np.isfinite(units).all():
        raise FloatingPointError("the net's units are no numbers any more; take a lower learning rate")
    return 100 * float((units == 0).mean())
