"""Mosaics of textures, with the class of each pixel: pictures to segment.

Points are strewn over a picture, and a pixel belongs to the nearest of them (Voronoi's cells). Each cell shows a
texture of its own, as much of it as lies there; so a mosaic has the scale of the pictures it is made of.
"""

import numpy as np


def mosaics(
    pictures: np.ndarray, labels: np.ndarray, count: int, cells: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (count, C, side, side), labels int64 (count, side, side)) of square pictures (N, C, side, side) and
    their labels (N,): mosaics of `cells` cells, of as many classes. ValueError if there are not so many classes."""
    classes, side = np.unique(labels), pictures.shape[-1]
    if cells > len(classes):
        raise ValueError(f"mosaics: {cells} cells of different classes, and there are {len(classes)} classes")
    of_class = {label: np.flatnonzero(labels == label) for label in classes}
    places = np.stack(np.mgrid[:side, :side], axis=-1) + 0.5  # (side, side, 2): the pixels' middles
    images = np.empty((count, *pictures.shape[1:]), pictures.dtype)
    maps = np.empty((count, side, side), np.int64)
    for number in range(count):
        points = rng.uniform(0, side, (cells, 2))
        distances = ((places[:, :, None] - points) ** 2).sum(axis=-1)  # (side, side, cells), squared
        cell = distances.argmin(axis=-1)  # (side, side)
        chosen = rng.choice(classes, cells, replace=False)
        shown = np.stack([pictures[rng.choice(of_class[label])] for label in chosen])  # (cells, C, side, side)
        images[number] = np.take_along_axis(shown, cell[None, None], axis=0)[0]
        maps[number] = chosen[cell]
    return images, maps
