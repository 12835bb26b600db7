"""Colours, markers and lines of the figures.

The colours are those of Okabe and Ito, "Color Universal Design", 2008, which people who cannot tell red from green can
tell apart, in an order of falling darkness: with markers and lines that differ, too, a figure can be read in grey.
"""

from typing import Any

from cycler import cycler

from .statistics import mean, spread

BLACK, BLUE, VERMILION, GREEN, ORANGE, SKY = "#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
PURPLE, GREY, YELLOW = "#CC79A7", "#777777", "#F0E442"
COLORS = BLUE, VERMILION, GREEN, ORANGE, BLACK, SKY
MARKERS = "o", "s", "^", "D", "v", "P"
LINES = "-", "--", "-.", ":", "-", "--"
BARS = BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, GREY, YELLOW  # not black, in which the spread is drawn
HATCHES = "", "///", "...", "xx", "\\\\\\", "++", "--", "oo"  # of bars, in the same order

RC: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLORS) + cycler(marker=MARKERS) + cycler(linestyle=LINES),
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "legend.fontsize": "small",
    "lines.markersize": 4,
    "font.size": 10,
    "image.interpolation": "nearest",
}


def bars(axes: Any, names: list[str], values: list[float], spreads: list[float] | None = None, digits: int = 1) -> None:
    """A bar for each name, its value written above it, with the spread as a line; each with a hatch of its own."""
    drawn = axes.bar(
        range(len(names)), values, yerr=spreads, capsize=4, color=[_of(BARS, i) for i in range(len(names))]
    )
    for i, bar in enumerate(drawn):
        bar.set(hatch=_of(HATCHES, i), edgecolor="white", linewidth=0)
    axes.bar_label(drawn, fmt=f"%.{digits}f", padding=3)
    axes.set_xticks(range(len(names)), names)
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.15)


def grouped_bars(axes: Any, names: list[str], groups: dict[str, list[list[float]]], digits: int = 1) -> None:
    """For each name a bar of each group: the mean of its values, which stands above it, and their spread as a line.

    groups: {label: for each name, the values of the seeds}
    """
    width = 0.8 / len(groups)
    for i, (label, values) in enumerate(groups.items()):
        places = [place + (i - (len(groups) - 1) / 2) * width for place in range(len(names))]
        spreads = list(map(spread, values)) if len(values[0]) > 1 else None
        look = {"color": _of(BARS, i), "hatch": _of(HATCHES, i), "edgecolor": "white", "linewidth": 0}
        drawn = axes.bar(places, list(map(mean, values)), 0.95 * width, yerr=spreads, capsize=3, label=label, **look)
        axes.bar_label(drawn, fmt=f"%.{digits}f", padding=3, fontsize="small")
    axes.set_xticks(range(len(names)), names)
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.15)


def picture(axes: Any, image: Any, title: str = "") -> None:
    """An image (3, H, W) or (H, W), uint8 or of [0, 1], without axes."""
    image = image.transpose(1, 2, 0) if image.ndim == 3 else image
    axes.imshow(image, cmap=None if image.ndim == 3 else "gray")
    axes.set_title(title, fontsize="small")
    axes.set_axis_off()


def _of(choices, number):
    return choices[number % len(choices)]
