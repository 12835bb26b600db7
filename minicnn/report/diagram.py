"""The network as a diagram: SVG, from top to bottom, laid out here so that no other program is needed.

A convolution and what follows it alone (batch norm, ReLU) share a box. A box lies one row below the lowest of those
that it takes something from; several in a row stand beside each other. An arrow that passes rows, such as a ResNet's
shortcut, goes around them.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from ..nn.flow import INPUT, Step

WIDE, HIGH, ACROSS, DOWN, LANE = 222, 48, 20, 20, 13  # pixels: a box, gaps between boxes, one arrow around them
FOLLOWERS = ("BatchNorm", "SyncBatchNorm", "ReLU", "ReLU6", "LeakyReLU", "Sigmoid", "Tanh", "Dropout", "LRN")
KINDS = {"Conv": "product", "Linear": "product", "Batch": "norm", "Sync": "norm", "LRN": "norm", "ReLU": "activation",
         "Max": "pool", "Avg": "pool", "Adaptive": "pool", "Sigmoid": "activation", "Tanh": "activation"}  # fmt: skip


class Box(NamedTuple):
    """Some steps, one after the other."""

    steps: list[Step]
    inputs: list[int]  # numbers of boxes; INPUT


def boxes(steps: Sequence[Step]) -> list[Box]:
    """The steps in boxes."""
    uses = [0] * len(steps)
    for step in steps:
        for number in step.inputs:
            if number != INPUT:
                uses[number] += 1
    found: list[Box] = []
    box_of: list[int] = []
    for step in steps:
        before = step.inputs[0] if len(step.inputs) == 1 else INPUT
        if step.op in FOLLOWERS and before != INPUT and uses[before] == 1:
            box_of.append(box_of[before])
            found[box_of[before]].steps.append(step)
        else:
            box_of.append(len(found))
            found.append(Box([step], [box_of[number] if number != INPUT else INPUT for number in step.inputs]))
    return found


def diagram(steps: Sequence[Step]) -> str:
    """SVG of a network's steps, as ``minicnn.nn.flow.flow`` gives them."""
    found = boxes(steps)
    rows: list[int] = []
    for box in found:
        rows.append(1 + max((rows[number] if number != INPUT else 0 for number in box.inputs), default=0))
    places = {INPUT: (0.0, 0)}  # number of the box: middle, row
    members: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        members.setdefault(row, []).append(number)
    for row in sorted(members):
        above = {n: sum(places[m][0] for m in found[n].inputs) / max(1, len(found[n].inputs)) for n in members[row]}
        ordered = sorted(members[row], key=lambda n: (above[n], n))
        for place, number in enumerate(ordered):
            places[number] = ((place - (len(ordered) - 1) / 2) * (WIDE + ACROSS), row)
    half = {row: max(abs(places[n][0]) for n in numbers) + WIDE / 2 for row, numbers in members.items()}
    arrows, reach = _arrows(found, places, half)
    drawn = [_box(found[number], *places[number]) for number in range(len(found))]
    drawn.append(f'<text class="faint" x="0" y="{HIGH / 2 + 4}" text-anchor="middle">a picture</text>')
    left, height = -reach - 8, (max(rows, default=0) + 1) * (HIGH + DOWN)
    size = f'viewBox="{left:.0f} 0 {-2 * left:.0f} {height}" width="{-2 * left:.0f}" height="{height}"'
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    head += '<path class="head" d="M0 0 8 4 0 8z"/></marker>'
    what = 'style="max-width:none;margin:0 auto" role="img" aria-label="the network"'
    return f"<svg {size} {what}><defs>{head}</defs>{''.join(arrows)}{''.join(drawn)}</svg>"


def _arrows(found, places, half):
    """(paths, how far to the side the widest goes)."""
    paths, reach, taken = [], max([*half.values(), WIDE / 2]), []
    for number, box in enumerate(found):
        x, row = places[number]
        top = row * (HIGH + DOWN)
        for source in dict.fromkeys(box.inputs):
            from_x, from_row = places[source]
            bottom = from_row * (HIGH + DOWN) + HIGH - (HIGH / 2 - 9 if source == INPUT else 0)
            if row - from_row == 1:
                middle = (bottom + top) / 2
                way = f"M{from_x:.0f} {bottom:.0f}C{from_x:.0f} {middle:.0f} {x:.0f} {middle:.0f} {x:.0f} {top - 1}"
            else:
                side = -1 if from_x < 0 else 1
                lanes = [lane for first, last, of, lane in taken if of == side and first < row and from_row < last]
                lane = next(free for free in range(len(lanes) + 1) if free not in lanes)
                taken.append((from_row, row, side, lane))
                out = max(half.get(r, 0) for r in range(from_row, row + 1)) + LANE * (lane + 1)
                reach = max(reach, out)
                start, end = from_x + side * WIDE / 2, x + side * WIDE / 2
                begin, finish, out = from_row * (HIGH + DOWN) + HIGH / 2, top + HIGH / 2, side * out
                way = f"M{start:.0f} {begin:.0f}H{out - side * 6:.0f}q{side * 6} 0 {side * 6} 6V{finish - 6:.0f}"
                way += f"q0 6 {-side * 6} 6H{end + side:.0f}"
            paths.append(f'<path class="arrow" d="{way}" marker-end="url(#head)"/>')
    return paths, reach


def _box(box, x, row):
    first, last = box.steps[0], box.steps[-1]
    kind = next((kind for start, kind in KINDS.items() if first.op.startswith(start)), "other")
    top, count = row * (HIGH + DOWN), sum(step.parameters for step in box.steps)
    ops = " + ".join(step.op for step in box.steps)
    shape = by(last.shape)
    said = f"{shape} · {count:,} parameters" if count else shape
    names = ", ".join(f"{step.name} ({step.op})" for step in box.steps)
    lines = [("name", first.name, 30), ("", ops, 37), ("faint", said, 38)]
    texts = "".join(
        f'<text class="{style}" x="{x:.0f}" y="{top + 14 + 14 * i}" text-anchor="middle">{_cut(text, most)}</text>'
        for i, (style, text, most) in enumerate(lines)
    )
    frame = f'x="{x - WIDE / 2:.0f}" y="{top}" width="{WIDE}" height="{HIGH}" rx="7"'
    return f'<g><title>{escape(names)}</title><rect class="box {kind}" {frame}/>{texts}</g>'


def by(sizes: Sequence[int]) -> str:
    """64 by 3 by 3, with the sign for it."""
    return " \u00d7 ".join(map(str, sizes))


def _cut(text, most):
    return escape(text if len(text) <= most else f"{text[: most - 1]}…")
