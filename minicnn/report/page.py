"""The page: one section after the other, each of which says in its place what it cannot show, and why."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from ..clock import duration
from ..nn.flow import Step
from .charts import Curve, bars, chart
from .confusion import FEW, SOME, chosen, counts, matrix
from .diagram import by, diagram
from .images import coloured, data_uri, fitting, overlaid, resized, stretched, tiles
from .style import STYLE

SIDE = 224  # pixels: no picture on the page is larger
NO_VALIDATION = "There are no validation pictures: give some, and this place shows what the network gets wrong."


def page(title: str, rows: Sequence[dict[str, str]], found: dict[str, Any]) -> str:
    """The HTML of a run. title: what it is called; rows: of its log.csv; found: what ``Report`` has gathered."""
    classes = _names(found)
    sections = [
        ("curves", "Learning curves", _curves(rows, found)),
        ("mistakes", "The surest mistakes", _mistakes(found, classes)),
        ("confusion", "Which classes are taken for which", _confusion(found, classes)),
        ("classes", "Accuracy of each class", _classes(found, classes)),
        ("filters", "Filters of the first convolution", _filters(found)),
        ("maps", "Feature maps", _maps(found)),
        ("network", "The network", _network(found)),
        ("settings", "Settings", _table(found.get("settings"), "The run has been given none.")),
        ("environment", "Environment", _table(found.get("environment"), "It is not known.")),
    ]
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in sections)
    body = [f'<header><h1>{escape(title)}</h1><p class="faint">{_about(found, classes)}</p></header>']
    body += [_tiles(rows, found), f"<nav>{links}</nav>"]
    drawn = {
        name: f'<section id="{name}"><h2>{escape(heading)}</h2>{content}</section>'
        for name, heading, content in sections
    }
    few = len(classes) <= FEW
    layout = [["curves"], ["mistakes"], *([["confusion", "classes"]] if few else [["confusion"], ["classes"]])]
    for names in [*layout, ["filters", "maps"], ["network"], ["settings", "environment"]]:
        inner = "".join(drawn[name] for name in names)
        body.append(inner if len(names) == 1 else f'<div class="columns">{inner}</div>')
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title><style>{STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _about(found, classes):
    settings = found.get("settings") or {}
    said = [settings.get("arch"), settings.get("dir"), f"{len(classes)} classes" if classes else None]
    return escape(" · ".join(str(part) for part in said if part)) or "a run of minicnn"


def _tiles(rows, found):
    last, best = rows[-1], found.get("best")
    split, word = ("val", "validation") if last["val_top1"] else ("train", "training")
    speeds = sorted(float(row["images_per_second"]) for row in rows)
    shown = [
        (f"{best['top1']:.2f} %", f"best top-1 of {word}, epoch {best['epoch']}") if best else None,
        (f"{float(last[f'{split}_top1']):.2f} %", f"top-1 of {word} at the end"),
        (f"{float(last[f'{split}_top5']):.2f} %", "top-5 at the end") if len(found.get("classes") or ()) > 5 else None,
        (last["epoch"], "epoch" if last["epoch"] == "1" else "epochs"),
        (duration(sum(float(row["seconds"]) for row in rows)), "training, without validation"),
        (f"{speeds[len(speeds) // 2]:,.0f}", "pictures per second"),
        (f"{found['parameters']:,}", "parameters") if "parameters" in found else None,
    ]
    drawn = "".join(
        f'<div class="tile"><b>{value}</b><span class="faint">{said}</span></div>'
        for value, said in filter(None, shown)
    )
    return f'<div class="tiles">{drawn}</div>'


def _curves(rows, found):
    def points(column):
        return [(int(row["epoch"]), float(row[column])) for row in rows if row[column]]

    validated = bool(points("val_top1"))
    best = (found.get("best") or {}).get("epoch")
    mark = "val" if validated else "train"
    charts = []
    for quantity, title in (("loss", "loss (nats)"), ("top1", "top-1 accuracy (%)")):
        curves = [Curve("train", "training", points(f"train_{quantity}"))]
        curves.append(Curve("val", "validation", points(f"val_{quantity}")))
        charts.append(chart(title, curves, best, mark))
    rates = points("lr")
    values = [value for _, value in rates if value > 0]
    varied = len(values) == len(rates) and max(values) > 5 * min(values)
    charts.append(chart("learning rate", [Curve("rate", "learning rate", rates)], best, "rate", log=varied))
    said = f"The dashed line is the best epoch, {best}" if best else "No epoch is the best yet"
    said += ", by the top-1 accuracy of validation." if validated else ", by that of training: nothing was validated."
    return f'<p class="note">{said}</p><div class="charts">{"".join(charts)}</div>'


def _confusion(found, classes):
    if not found.get("predictions"):
        return _lack(found, "predictions")
    table = _counts(found, classes)
    shown = chosen(table)
    right, total = int(np.diag(table).sum()), int(table.sum())
    said = f"{total - right:,} of {total:,} validation pictures are taken for something else, after the last epoch. "
    said += "A row is a class, a column what its pictures are taken for."
    if len(shown) < len(table):
        said += f" These are the {SOME} of {len(table)} classes that most mistakes are made with."
    names = [classes[i] for i in shown]
    return f'<p class="note">{said}</p><div class="wide">{matrix(table[np.ix_(shown, shown)], names)}</div>'


def _classes(found, classes):
    if not found.get("predictions"):
        return _lack(found, "predictions")
    table = _counts(found, classes)
    sizes = table.sum(axis=1)
    present = np.flatnonzero(sizes)
    shares = 100 * np.diag(table) / np.maximum(sizes, 1)
    order = present[np.argsort(shares[present], kind="stable")]
    said = "The hardest first."
    if len(order) > SOME:
        said = f"The {SOME} hardest of {len(order)}."
        order = order[:SOME]
    rows = [(classes[i], shares[i], f"{shares[i]:.1f} % of {sizes[i]:,}") for i in order]
    half = len(rows) if len(rows) <= FEW else -(-len(rows) // 2)
    drawn = "".join(bars(part) for part in (rows[:half], rows[half:]) if part)
    return f'<p class="note">Top-1, on validation pictures. {said}</p><div class="columns">{drawn}</div>'


def _mistakes(found, classes):
    if not found.get("predictions"):
        return _lack(found, "predictions")
    mistakes = found.get("mistakes")
    if mistakes is None:
        return _lack(found, "mistakes")
    if not mistakes:
        return '<p class="note">There are none: every validation picture is classified right.</p>'
    heat = found.get("heat")
    said = "Pictures that the network is wrong about, and sure."
    if heat:
        said += " Beside each, in bright colours, where it saw what it took the picture for: Grad-CAM (Selvaraju et al."
        said += f" 2017) of the layer {escape(str(heat[0]))}."
    else:
        said += f" There is no Grad-CAM: {escape(_why(found, 'heat'))}."
    cards = []
    for number, mistake in enumerate(mistakes):
        if mistake["image"] is None:
            continue
        picture = mistake["image"].transpose(1, 2, 0)
        images = [data_uri(fitting(picture, SIDE), photograph=True)]
        if heat:
            images.append(data_uri(fitting(overlaid(_grown(picture), heat[1][number]), SIDE), photograph=True))
        label, guess = (escape(classes[mistake[key]]) for key in ("label", "guess"))
        drawn = "".join(f'<img src="{uri}" alt="{label}">' for uri in images)
        words = f'Taken for <span class="wrong">{guess}</span>, {100 * mistake["sure"]:.1f} % sure.<br>'
        words += f'It is <span class="right">{label}</span>.<br>'
        words += f'<span class="faint">{escape(_file(mistake["name"]))}</span>'
        kind = "pair" if heat else "one"
        cards.append(f'<div class="card"><div class="{kind}">{drawn}</div><div class="words">{words}</div></div>')
    if not cards:
        said = "What the network classifies are no pictures, but features; so none can be shown."
    return f'<p class="note">{said}</p><div class="cards">{"".join(cards)}</div>'


def _filters(found):
    if not found.get("filters"):
        return _lack(found, "filters", "The network has no convolution.")
    name, weight = found["filters"]
    weight = np.asarray(weight, np.float64)
    if weight.shape[1] != 3:
        weight = np.repeat(weight.mean(axis=1, keepdims=True), 3, axis=1)
    uri = data_uri(tiles([stretched(each).transpose(1, 2, 0) for each in weight]))
    size = by(found["filters"][1].shape[1:])
    said = f"{escape(str(name))}: {len(weight)} filters of {size}, each stretched to the full range of brightness."
    return f'<p class="note">{said}</p><img class="pixels" src="{uri}" alt="filters">'


def _maps(found):
    if not found.get("maps"):
        return _lack(found, "maps", "The network has no feature maps.")
    parts = []
    if found.get("example") is not None:
        uri = data_uri(fitting(found["example"][0].transpose(1, 2, 0), SIDE), photograph=True)
        parts.append(f'<figure><img src="{uri}" alt="the picture"><figcaption>the picture</figcaption></figure>')
    for name, maps in found["maps"]:
        factor = max(1, 28 // max(maps.shape[1:]))  # so that the gaps between small maps are small, too
        uri = data_uri(tiles([coloured(each).repeat(factor, 0).repeat(factor, 1) for each in maps], columns=4))
        said = f"{escape(str(name))}, {by(maps.shape[1:])}"
        parts.append(f'<figure><img src="{uri}" alt="{escape(str(name))}"><figcaption>{said}</figcaption></figure>')
    said = "What some convolutions make of one picture: the channels that vary most, bright where they are high."
    return f'<p class="note">{said}</p><div class="maps">{"".join(parts)}</div>'


def _network(found):
    if not found.get("steps"):
        return _lack(found, "steps")
    steps = [Step(name, op, tuple(inputs), tuple(shape), count) for name, op, inputs, shape, count in found["steps"]]
    said = f"{len(steps)} ops, from top to bottom, each with the shape of its result and what is learned in it."
    return f'<p class="note">{said}</p><div class="scroll">{diagram(steps)}</div>'


def _table(values, otherwise):
    if not values:
        return f'<p class="note">{otherwise}</p>'
    lines = (f"<tr><th>{escape(str(name))}</th><td>{escape(_said(value))}</td></tr>" for name, value in values.items())
    return f'<table class="settings">{"".join(lines)}</table>'


def _lack(found, part, otherwise=NO_VALIDATION):
    """Why something is not shown."""
    why = (found.get("trouble") or {}).get(part) or found.get("missing")
    said = f"This cannot be shown: {escape(str(why))}." if why else otherwise
    return f'<p class="note">{said}</p>'


def _why(found, part):
    return str((found.get("trouble") or {}).get(part) or found.get("missing") or "it is not known why")


def _counts(found, classes):
    labels, guesses, _ = found["predictions"]
    return counts(labels, guesses, len(classes))


def _names(found):
    """Of the classes; of one without a name, its number."""
    names = [str(name) for name in found.get("classes") or ()]
    labels, guesses, _ = found.get("predictions") or ((), (), ())
    most = 1 + max((int(max(each)) for each in (labels, guesses) if len(each)), default=-1)
    return names + [f"class {number}" for number in range(len(names), most)]


def _grown(picture):
    """A small picture, larger: so that what is laid over it is smooth."""
    scale = max(1.0, SIDE / max(picture.shape[:2]))
    return resized(picture, (round(scale * picture.shape[0]), round(scale * picture.shape[1])))


def _file(name):
    return "/".join(str(name).split("/")[-2:])


def _said(value):
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
