"""Grad-CAM: where in a picture a network sees what speaks for a class.

The feature maps A_k of a late layer are added up, each by the mean over its positions of the gradient of the class's
score: relu(sum_k mean(d score / d A_k) * A_k).

Source    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
          ICCV 2017
"""

import numpy as np

import minicnn
from minicnn import functional as F
from minicnn import nn


def grad_cam(net: nn.Module, name: str, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Maps (N, H, W), not negative, of the size of the images: for each image, the evidence for its label.

    images float32 (N, C, H, W); name: the layer whose feature maps are looked at. The net is left in evaluation mode.
    """
    kept = []

    def keep(layer, inputs, output):
        output.retain_grad()
        kept.append(output)

    with dict(net.named_modules())[name].register_forward_hook(keep):
        scores = net.eval()(minicnn.Tensor(images))
    scores[np.arange(len(images)), labels].sum().backward()
    net.zero_grad()
    maps = kept[0].detach()
    weights = kept[0].grad.mean((2, 3), keepdim=True)  # (N, K, 1, 1)
    evidence = F.relu((weights * maps).sum(1, keepdim=True))  # (N, 1, h, w)
    return F.interpolate(evidence, size=images.shape[2:], mode="bilinear").numpy()[:, 0]


def on_halves(
    net: nn.Module, name: str, inputs: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Grad-CAM on images whose left half is that of one image, and whose right half is that of another one.

    Images are paired at random; pairs with the same label are left out. -> (the shares of the maps that lie on the half
    whose label was asked for, (2 * pairs,); the pairs, (pairs, 2); the maps for the labels on the left, on the right).
    """
    order, count, middle = np.random.default_rng(seed).permutation(len(inputs)), len(inputs) // 2, inputs.shape[3] // 2
    pairs = np.stack([order[:count], order[count : 2 * count]], axis=1)
    pairs = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    images = joined(inputs, pairs)
    maps = [grad_cam(net, name, images, labels[one]) for one in pairs.T]
    left, right = (found[..., :middle].sum((1, 2)) / np.maximum(found.sum((1, 2)), 1e-12) for found in maps)
    return np.concatenate([left, 1 - right]), pairs, maps


def joined(images: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """For each pair of indices the left half of the first image beside the right half of the second."""
    middle = images.shape[3] // 2
    return np.concatenate([images[pairs[:, 0], :, :, :middle], images[pairs[:, 1], :, :, middle:]], axis=3)
