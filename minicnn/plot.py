"""Pictures of a run: the curves of its log, the filters it has learnt, and the pictures it has learnt from."""

import csv

import numpy as np


def save_curves(log_csv, path):
    """Loss, top-1 accuracy and learning rate over the epochs of a log.csv, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only needed here
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with open(log_csv, newline="") as file:
        rows = list(csv.DictReader(file))
    panels = (
        ("loss (nats)", {"training": "train_loss", "validation": "val_loss"}),
        ("top-1 accuracy (%)", {"training": "train_top1", "validation": "val_top1"}),
        ("learning rate", {"learning rate": "lr"}),
    )
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, (label, curves) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for name, column in curves.items():
            points = [(int(row["epoch"]), float(row[column])) for row in rows if row[column]]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=name)
        axes.set_xlabel("epoch")
        axes.set_xlim(0, len(rows) + 1)
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(curves) > 1:
            axes.legend()
    if all(float(row["lr"]) > 0 for row in rows):
        axes.set_yscale("log")
    canvas.print_png(str(path))


def save_filters(weight, path, zoom=6):
    """The filters (OC, C, KH, KW) of a convolution, side by side, as a PNG of `zoom` pixels per weight.

    Each is stretched to the full range of brightness on its own. Three channels are red, green and blue (as the first
    layer sees them); of any other number the mean over the channels is shown in grey.
    """
    filters = np.asarray(weight)
    if filters.shape[1] != 3:
        filters = np.repeat(filters.mean(axis=1, keepdims=True), 3, axis=1)
    low, high = (bound(filters, axis=(1, 2, 3), keepdims=True) for bound in (np.min, np.max))
    pixels = np.rint(255 * (filters - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    save_pictures(pixels, path, zoom)


def save_pictures(pictures, path, zoom=1):
    """Pictures of one size, uint8 (N, 3, H, W), in a grid as a PNG of `zoom` x `zoom` pixels for each of theirs."""
    from PIL import Image

    count, _, height, width = pictures.shape
    columns = int(np.ceil(np.sqrt(1.5 * count)))
    rows = -(-count // columns)
    grid = np.full((3, rows * (height + 1) + 1, columns * (width + 1) + 1), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = 1 + i // columns * (height + 1), 1 + i % columns * (width + 1)
        grid[:, top : top + height, left : left + width] = picture
    grid = grid.transpose(1, 2, 0).repeat(zoom, axis=0).repeat(zoom, axis=1)
    Image.fromarray(np.ascontiguousarray(grid)).save(path, format="PNG")
