"""What normalising does to the loss: its curvatures become alike, and gradient descent becomes faster.

Claim      Very different ranges of input features mean poor conditioning; normalised data improve the loss landscape
           and make for faster optimisation (deck 1, "Why normalize the input?").
Published  None.
Done       A linear classifier (softmax, from zero weights, no bias) on pictures of 8 x 8 pixels: raw; the mean picture
           subtracted; in other units (the channel's mean subtracted, then red times 1, green times 10, blue times 100),
           as features of very different ranges come; standardised, which divides each channel by its deviation, and
           takes such units back; whitened. The condition number is that of E[x x^T], whose eigenvalues are the
           curvatures of the loss, up to a factor. (It does not decide all: other units have a worse one than raw
           pictures, and yet learn faster, for these have a mean so large that one direction slows down all others.)
           Each kind of input gets the best of six learning rates (1 to 32, divided by its largest eigenvalue): that
           with the lowest training loss after the same number of steps on the whole set. --full DIR: your own pictures,
           a folder for each class.
Measured   After 100 steps on 2,000 pictures (3 seeds; rates times the largest eigenvalue), raw: condition 2.1e+06, rate
           16, training loss 2.28 ± 0.00, test loss 2.31 ± 0.01, test error 86.8 ± 1.8 %; centred: condition 8.5e+04,
           rate 16, training loss 2.16 ± 0.00, test loss 2.38 ± 0.00, test error 81.7 ± 1.0 %; other units: condition
           2.9e+08, rate 16, training loss 2.20 ± 0.00, test loss 2.36 ± 0.01, test error 81.7 ± 2.0 %; standardised:
           condition 8.5e+04, rate 16, training loss 2.16 ± 0.00, test loss 2.38 ± 0.00, test error 82.0 ± 1.0 %;
           whitened: condition 1, rate 4, training loss 1.89 ± 0.03, test loss 2.97 ± 0.16, test error 82.2 ± 1.7 %.
           Centring, dividing by the deviation where units differ, and whitening each lower the training loss; not so
           the test loss, for whitening also scales up the directions in which there is little but noise.
Look at    minicnn/data/normalize.py, minicnn/data/whiten.py, minicnn/ops/cross_entropy.py.
"""

import sys

import numpy as np
from common.classes import classes
from common.experiment import Lecture
from common.landscape import GRID, plane
from common.statistics import mean, seeds, with_spread
from common.style import LINES, MARKERS

import minicnn
from minicnn import functional as F
from minicnn import nn, optim
from minicnn.data import ChannelMean, ChannelMeanStd, MeanImage, Whitening, ZeroToOne

SIDE = 8
UNITS = np.float32([1, 10, 100])[:, None, None]  # of the channels


class OtherUnits:
    """Centred, each channel then in a unit of its own."""

    def fit(self, batches):
        self.centred = ChannelMean().fit(batches)
        return self

    def __call__(self, batch):
        return self.centred(batch) * UNITS


INPUTS = {"raw": ZeroToOne, "centred": MeanImage, "other units": OtherUnits}
INPUTS |= {"standardised": ChannelMeanStd, "whitened": Whitening}
RATES = (1, 2, 4, 8, 16, 32)  # times 1 / the largest eigenvalue


def measure(run):
    train, test, steps = run.pick(quick=(25, 5, 10), default=(200, 100, 100), full=(500, 100, 1000))
    each = []
    for seed in run.seeds:
        data = classes(run.folder, train, test, SIDE, seed)
        each.append({name: run.once(f"{name}, seed {seed}", _measured, name, data, steps) for name in INPUTS})
    kinds = "condition", "train_loss", "test_loss", "train_error", "test_error", "best_rate"
    result = {kind: {name: [one[name][kind] for one in each] for name in INPUTS} for kind in kinds}
    curves = {kind: {name: each[0][name][kind] for name in INPUTS} for kind in ("eigenvalues", "losses")}
    curves["plane"] = {name: each[0][name]["plane"] for name in ("raw", "whitened")}
    return result | {"steps": steps, "pictures": train * len(data.classes), "curves": curves}


def _measured(name, data, steps):
    normalize = INPUTS[name]().fit([data.train])
    x, test = (normalize(part).reshape(len(part), -1) for part in (data.train, data.test))
    values, vectors = np.linalg.eigh(x.T.astype(np.float64) @ x / len(x))
    runs = {rate: _trained(x, data.train_labels, rate / values[-1], steps) for rate in RATES}
    best = min(runs, key=lambda rate: runs[rate][1][-1])
    model, losses = runs[best]
    found = {"condition": values[-1] / values[0], "eigenvalues": values[::-1], "losses": losses, "best_rate": best}
    for split, pictures, labels in (("train", x, data.train_labels), ("test", test, data.test_labels)):
        with minicnn.no_grad():
            scores = model(minicnn.Tensor(pictures))
            found[f"{split}_loss"] = F.cross_entropy(scores, minicnn.Tensor(labels)).item()
        found[f"{split}_error"] = 100 * (scores.numpy().argmax(1) != labels).mean()
    scores = x.astype(np.float64) @ model.weight.numpy().T.astype(np.float64)
    return found | {"plane": plane(x @ vectors[:, [-1, 0]], scores, data.train_labels)}


def _trained(x, labels, lr, steps):
    """The classifier after gradient descent on the whole set, and its loss before each step and behind the last one."""
    model = nn.Linear(x.shape[1], int(labels.max()) + 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = optim.SGD(model.parameters(), lr)
    images, truth, losses = minicnn.Tensor(x), minicnn.Tensor(labels), []
    for _ in range(steps + 1):
        loss = F.cross_entropy(model(images), truth)
        losses.append(loss.item())
        if len(losses) <= steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model, [loss if np.isfinite(loss) else 1e9 for loss in losses]


def measured(result):
    parts = [
        f"{name}: condition {mean(result['condition'][name]):.2g}, {_best(result, name)}, training loss "
        f"{with_spread(result['train_loss'][name], 2)}, test loss {with_spread(result['test_loss'][name], 2)}, test "
        f"error {with_spread(result['test_error'][name])} %"
        for name in INPUTS
    ]
    return (
        f"After {result['steps']} steps on {result['pictures']:,} pictures ({seeds(result['condition']['raw'])}; rates "
        f"times the largest eigenvalue), {'; '.join(parts)}. Centring, dividing by the deviation where units differ, "
        f"and whitening each lower the training loss; not so the test loss, for whitening also scales up the "
        f"directions in which there is little but noise."
    )


def _best(result, name):
    rates = sorted(set(result["best_rate"][name]))
    at_edge = " (an edge of what was tried)" if {RATES[0], RATES[-1]} & set(rates) else ""
    return f"rate {' or '.join(f'{rate:g}' for rate in rates)}{at_edge}"


def draw(figure, result):
    spectrum, *planes, curve = figure.subplots(1, 4)
    curves = result["curves"]
    for i, name in enumerate(INPUTS):
        values = np.array(curves["eigenvalues"][name])
        style = {"linestyle": LINES[i], "marker": MARKERS[i], "markevery": 0.15}
        label = name if name != "centred" else f"{name} (wide)"  # "standardised" lies on it
        style |= {"linewidth": 5, "markersize": 9, "alpha": 0.3} if name == "centred" else {}
        spectrum.semilogy(np.maximum(values / values[0], 1e-9), **style, label=label)
        curve.plot(curves["losses"][name], **style, label=f"{label}: {mean(result['test_loss'][name]):.2f}")
    spectrum.set(title="curvatures", xlabel="direction", ylabel="eigenvalue / largest")
    curve.set(title="descent, each at its best rate", xlabel="steps", ylabel="training loss (nats)")
    spectrum.legend(loc="lower left")
    curve.legend(title="test loss in the end", loc="center right", bbox_to_anchor=(1, 0.34))
    for axes, (name, losses) in zip(planes, curves["plane"].items(), strict=True):
        axes.contourf(GRID, GRID, losses, levels=12, cmap="gray")
        axes.contour(GRID, GRID, losses, levels=12, colors="white", linewidths=0.6)
        axes.set(title=f"loss, {name} (dark: low)", aspect="equal", xticks=[], yticks=[])
        axes.set_xlabel("most curved direction")
    planes[0].set_ylabel("least curved direction")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(13, 3.6))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
