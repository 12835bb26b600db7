"""The loss of a linear classifier around its weights."""

import numpy as np

GRID = np.linspace(-1, 1, 33)


def plane(along: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss around the trained weights, (33, 33): rows along the least curved direction, columns along the most
    curved one. Both are scaled as the most curved one, so that a step in the picture is the same step in both.

    along (N, 2): the inputs' coordinates in the most and in the least curved direction; scores (N, classes): of the
    trained weights; labels int64 (N,).
    """
    unit = along / np.sqrt((along[:, 0] ** 2).mean())
    contrast = np.where(np.arange(scores.shape[1]) % 2, -1.0, 1.0)  # half the classes up, the others down
    losses = [[_loss(scores + 3 * (a * unit[:, :1] + b * unit[:, 1:]) * contrast, labels) for a in GRID] for b in GRID]
    return np.array(losses)


def _loss(scores, labels):
    scores = scores - scores.max(axis=1, keepdims=True)
    return float((np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]).mean())
