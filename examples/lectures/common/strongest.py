"""The pictures, and the places in them, that excite each channel of a layer most."""

import numpy as np

import minicnn
from minicnn import nn


def strongest(net: nn.Module, name: str, images: np.ndarray, batch: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """(the largest value of each channel in each image, (N, K); where it stands, row and column, (N, K, 2)).

    images float32 (N, C, H, W); name: the layer. The net is left in evaluation mode.
    """
    net.eval()
    peaks, places = [], []
    for start in range(0, len(images), batch):
        with minicnn.no_grad():
            maps = nn.output_of(net, name, minicnn.Tensor(images[start : start + batch])).numpy()
        flat = maps.reshape(*maps.shape[:2], -1)
        peaks.append(flat.max(axis=2))
        places.append(np.stack(np.unravel_index(flat.argmax(axis=2), maps.shape[2:]), axis=-1))
    return np.concatenate(peaks), np.concatenate(places)


def of_one_class(peaks: np.ndarray, labels: np.ndarray, top: int = 9) -> float:
    """Of the `top` pictures that excite a channel most, the share that is of the class most frequent among them: its
    mean over the channels that are not 0 everywhere. peaks (N, K), labels (N,)."""
    alive = peaks[:, peaks.max(axis=0) > 0]
    chosen = labels[np.argsort(-alive, axis=0)[:top]]  # (top, K)
    return float(np.mean([np.bincount(column).max() / len(column) for column in chosen.T]))
