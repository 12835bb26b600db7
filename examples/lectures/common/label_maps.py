"""A class for each pixel, drawn: the picture, its true classes, and what networks take them for, side by side."""

import matplotlib
import numpy as np

from . import style
from .pictures import from_text


def draw_maps(figure, example: dict, unknown: int) -> None:
    """One row of panels. example: "picture", "truth" and "predictions", {name: classes}, all as text.

    The classes of the truth have shades of their own; white is any other class. unknown: the label that is none.
    """
    maps = {"truth": example["truth"]} | example["predictions"]
    first, *panels = figure.subplots(1, 1 + len(maps))
    style.picture(first, from_text(example["picture"]).transpose(2, 0, 1), "picture")
    there = [label for label in np.unique(from_text(example["truth"])) if label != unknown]
    colors = matplotlib.colormaps["cividis"].resampled(len(there)).with_extremes(bad="white")
    for axes, (name, text) in zip(panels, maps.items(), strict=True):
        labels = from_text(text)
        levels = np.ma.array(np.zeros(labels.shape), mask=True)
        for level, label in enumerate(there):
            levels[labels == label] = level
        axes.imshow(levels, cmap=colors, vmin=-0.5, vmax=len(there) - 0.5)
        axes.set_title(name, fontsize="small")
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)
    figure.supxlabel("white: taken for a class that is not in the picture", fontsize="small")
