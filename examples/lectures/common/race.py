"""How many epochs a net needs until its training error has fallen to some value."""

from collections import deque
from typing import Any

import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import nn, optim


def epochs_until(
    goal: float, net: nn.Module, images: np.ndarray, labels: np.ndarray, lr: float, batch: int, limit: float, seed: int
) -> dict[str, Any]:
    """Train with momentum .9, at a rate that stays, until the training error is `goal` (in percent), or for `limit`
    epochs -> {"epochs": how many that took, None if it was not reached, "errors": the error at the end of each epoch}.

    The error is that of the batches of the last epoch's worth of steps, each before its own update; so it is known
    after every step, and "epochs" is no whole number. A net whose loss is no number any more is given up.
    """
    rng = np.random.default_rng(seed)
    steps = len(images) // batch  # of an epoch
    optimizer = optim.SGD(net.parameters(), lr, momentum=0.9)
    wrong: deque[int] = deque(maxlen=steps)  # pictures of each batch
    errors: list[float] = []
    for step in range(int(limit * steps)):
        if step % steps == 0:
            order = rng.permutation(len(images))
        chosen = order[step % steps * batch :][:batch]
        scores = net(minicnn.Tensor(images[chosen]))
        wrong.append(int((scores.numpy().argmax(1) != labels[chosen]).sum()))
        error = 100 * sum(wrong) / (len(wrong) * batch)
        if (step + 1) % steps == 0:
            errors.append(error)
        if len(wrong) == steps and error <= goal:
            return {"epochs": (step + 1) / steps, "errors": [*errors, error]}
        loss = F.cross_entropy(scores, minicnn.Tensor(labels[chosen]))
        if not np.isfinite(loss.item()):
            return {"epochs": None, "errors": [*errors, error]}
        optimizer.zero_grad()
        with np.errstate(over="ignore", invalid="ignore"):  # the next loss tells
            loss.backward()
            optimizer.step()
    return {"epochs": None, "errors": errors}
