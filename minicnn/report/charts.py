"""Curves over the epochs, as SVG, and bars, as HTML."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 34
DOTS = 40  # epochs up to which each has a dot


class Curve(NamedTuple):
    """A line of a chart."""

    kind: str  # "train", "val" or "rate": its colour
    name: str
    points: list[tuple[int, float]]  # (epoch, value)


def chart(title: str, curves: Sequence[Curve], best: int | None, mark: str, log: bool = False) -> str:
    """A figure of curves over the epochs. best: the epoch that is marked, on the curve of this kind (`mark`), if any;
    log: powers of ten on the vertical axis."""
    curves = [curve for curve in curves if curve.points]
    values = [value for curve in curves for _, value in curve.points]
    epochs = [epoch for curve in curves for epoch, _ in curve.points]
    least, most = min(values), max(values)
    if least == most:  # a flat line, in the middle
        least, most = (0.0, 2 * most) if most > 0 else (least - 1, most + 1)
    log = log and least > 0
    scale = math.log10 if log else float
    marks = _decades(least, most) if log else ticks(least, most)
    low, high = min(*map(scale, values), scale(marks[0])), max(*map(scale, values), scale(marks[-1]))
    first, last = min(epochs), max(epochs)

    def x(epoch):
        return LEFT + (WIDTH - LEFT - RIGHT) * ((epoch - first) / (last - first) if last > first else 0.5)

    def y(value):
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (scale(value) - low) / (high - low if high > low else 1))

    parts = []
    for value in marks:
        at = f"{y(value):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text class="faint" x="{LEFT - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for epoch in sorted({round(tick) for tick in ticks(first, last, 7) if first <= round(tick) <= last}):
        parts.append(f'<text class="faint" x="{x(epoch):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{epoch}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="faint" x="{middle}" y="{HEIGHT - 2}" text-anchor="middle">epoch</text>')
    if best is not None and first <= best <= last:
        at = f"{x(best):.1f}"
        parts.append(f'<line class="best" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for curve in curves:
        line = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in curve.points)
        parts.append(f'<polyline class="curve {curve.kind}" points="{line}"/>')
        for epoch, value in curve.points if len(curve.points) <= DOTS else curve.points[-1:]:
            told = f"<title>{curve.name}, epoch {epoch}: {value:.4g}</title>"
            parts.append(
                f'<circle class="dot {curve.kind}" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="2.6">{told}</circle>'
            )
        if curve.kind == mark and best in dict(curve.points):
            centre = f'cx="{x(best):.1f}" cy="{y(dict(curve.points)[best]):.1f}"'
            parts.append(f'<circle class="ring {curve.kind}" {centre} r="6.5"/>')
    legend = "".join(
        f'<span><i class="swatch" style="background:var(--{curve.kind})"></i>{escape(curve.name)}</span>'
        for curve in curves
    )
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return f'<figure><h3>{escape(title)}</h3>{svg}<figcaption class="legend">{legend}</figcaption></figure>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers about from `low` to `high`, some `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    step = 10 ** math.floor(math.log10(raw))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if step * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _decades(low, high):
    marks = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    return marks if len(marks) > 1 else [marks[0], marks[0] * 10]


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """A table of (name, percent, what is said behind it), each with a bar."""
    lines = [
        f'<tr><td title="{escape(name)}">{escape(name)}</td><td class="track"><div class="rest"><div class="bar" '
        f'style="width:{percent:.1f}%"></div></div></td><td class="number">{escape(said)}</td></tr>'
        for name, percent, said in rows
    ]
    return f'<table class="classes">{"".join(lines)}</table>'
