"""What to do with a pre-trained network: a table of little or much data, similar or different.

Claim      What to train of a pre-trained network depends on how much data there is, and how similar it is. Very little
           and very similar: "Use Linear Classifier on top layer"; very little and very different: "You're in trouble...
           Try linear classifier from different stages"; quite a lot and very similar: "Finetune a few layers"; quite a
           lot and very different: "Finetune a larger number of layers or start from scratch!" (deck 1, "Transfer
           Learning with CNNs").
Published  none: the table is advice. Yosinski et al., NIPS 2014, measure how features transfer from layer to layer.
Done       A ResNet-8 learns five kinds of texture, 300 of each, until it knows them. A ResNet-8 is a small ResNet with
           8 layers. With 10 or 200 pictures a class it then has to tell five other kinds apart (similar: of the same
           drawing program, which favours transfer), or the digits 0 to 4 (different): by a linear classifier on what
           one of its stages gives out, by training its last stage alone or all of it, or from scratch. Each way has the
           best of three learning rates, chosen by 250 validation pictures after training on pictures that are used for
           nothing else. --full DIR: your own pictures, a folder for each of ten classes or more.
Measured   The deck's advice is not the best in 2, is about as good in 1, is the best in 1 of 4 cells. Best test errors
           in %, 3 seeds: similar, little: all stages tuned 8.2 ± 1.7 (advice: linear on layer3 14.7 ± 1.3); similar,
           much: all stages tuned 0.4 ± 0.2 (advice: last stage tuned 0.7 ± 0.3); different, little: from scratch 10.2 ±
           1.8 (advice: linear on layer1 17.0 ± 1.0); different, much: from scratch 1.5 ± 0.5 (as advised).
Look at    minicnn/pretrained/transfer.py, docs/transfer.md
"""

import sys

import numpy as np
from common import style
from common.experiment import Lecture, Run
from common.pretraining import Beginning, features, learn
from common.statistics import mean, seeds, spread, with_spread
from common.tasks import Task, digit_pictures, split
from common.training import error, train

from minicnn import nn
from minicnn.pretrained.transfer import freeze_to

STAGES = "layer1", "layer2", "layer3"
METHODS = {  # name: the rates of learning that are tried
    **{f"linear on {stage}": (0.01, 0.1, 1.0) for stage in STAGES},
    "last stage tuned": (0.03, 0.1, 0.3),
    "all stages tuned": (0.03, 0.1, 0.3),
    "from scratch": (0.03, 0.1, 0.3),
}
CHOOSING = 1000  # the seed of the training set that rates are chosen with
ADVICE = {  # deck 1's table
    "similar, little": ["linear on layer3"],
    "similar, much": ["last stage tuned"],
    "different, little": ["linear on layer1", "linear on layer2"],
    "different, much": ["all stages tuned", "from scratch"],
}


def measure(run: Run) -> dict:
    """The test error of each method on each task; what it is by stage; what the validation pictures chose."""
    start = learn(run)
    images, labels = digit_pictures(start.similar.test.shape[2])
    last = np.concatenate([np.flatnonzero(labels == k)[-run.pick(20, 200) :] for k in range(5)])
    rest = np.setdiff1d(np.arange(len(labels)), last)
    images = start.normalize(images)
    digits = split(images[rest], labels[rest], (images[last], labels[last]), run.pick(4, 50))
    errors, rates = {}, {}
    for distance, task in {"similar": start.similar, "different": digits}.items():
        for amount, per_class in {"little": 10, "much": run.pick(20, 200)}.items():
            cell = f"{distance}, {amount}"
            for method, tried in METHODS.items():
                name = f"{cell}, {method}"

                def once(lr, seed, name=name, args=(start, task, per_class, method)):
                    return run.once(f"{name}, {lr}, {seed}", _errors, *args, lr, seed, run)

                validated = {lr: once(lr, CHOOSING)["validation"] for lr in run.pick(tried[1:2], tried)}
                rates[name] = min(validated, key=lambda lr: validated[lr])
                errors[name] = [once(rates[name], seed)["test"] for seed in run.seeds]
    return {"pretrained_error": start.error, "errors": errors, "rates": rates}


def _errors(start: Beginning, task: Task, per_class: int, method: str, lr: float, seed: int, run: Run) -> dict:
    images, labels = task.training_set(per_class, seed)
    sets = [images, task.validation, task.test]
    if method.startswith("linear"):
        sets = features(start.network(seed), method.removeprefix("linear on "), sets)
        model, epochs = nn.Linear(sets[0].shape[1], task.classes), run.pick(2, 60 if per_class == 10 else 30)
    else:
        model, epochs = start.network(seed, method != "from scratch"), run.pick(1, 40 if per_class == 10 else 8)
        if method == "last stage tuned":
            freeze_to(model, STAGES[-2])
    options = {"batch_size": 10 if per_class == 10 else 32, "weight_decay": 5e-4}
    train(model, sets[0], labels, epochs=epochs, lr=lr, seed=seed, options=options)
    parts = ("validation", sets[1], task.validation_labels), ("test", sets[2], task.test_labels)
    return {name: error(model, x, truth) for name, x, truth in parts}


def best(result: dict, cell: str, methods=tuple(METHODS)) -> str:
    """Which of the methods has the smallest mean error in a cell of the table."""
    return min(methods, key=lambda method: mean(result["errors"][f"{cell}, {method}"]))


def verdict(result: dict, cell: str) -> str:
    """Whether what the deck advises is best; "as good" if it is behind by no more than the seeds lie apart."""
    ours, theirs = best(result, cell), best(result, cell, ADVICE[cell])
    if ours == theirs:
        return "is the best"
    won, advised = (result["errors"][f"{cell}, {method}"] for method in (ours, theirs))
    close = mean(advised) - mean(won) <= spread(advised) + spread(won)
    return "is about as good" if close else "is not the best"


def measured(result: dict) -> str:
    """How often the deck's advice is best; the best of each cell, beside what is advised."""
    found, pieces = [], []
    for cell, advised in ADVICE.items():
        ours, theirs = best(result, cell), best(result, cell, advised)
        won, beside = (with_spread(result["errors"][f"{cell}, {method}"]) for method in (ours, theirs))
        found.append(verdict(result, cell))
        pieces.append(f"{cell}: {ours} {won} ({'as advised' if ours == theirs else f'advice: {theirs} {beside}'})")
    kinds = ", ".join(f"{kind} in {found.count(kind)}" for kind in dict.fromkeys(found))
    many = seeds(next(iter(result["errors"].values())))
    return f"The deck's advice {kinds} of {len(found)} cells. Best test errors in %, {many}: {'; '.join(pieces)}."


def draw(figure, result):
    """The deck's table: in each cell a bar for each method, those that the deck advises marked."""
    for axes, (cell, advised) in zip(figure.subplots(2, 2).T.flat, ADVICE.items(), strict=True):
        values = [result["errors"][f"{cell}, {method}"] for method in METHODS]
        for i, (method, value) in enumerate(zip(METHODS, values, strict=True)):
            look = {"color": style.BLUE, "hatch": "///"} if method in advised else {"color": "#cccccc"}
            axes.barh(i, mean(value), xerr=spread(value), capsize=3, **look)
            end = mean(value) + spread(value)
            axes.annotate(f"{mean(value):.1f}", (end, i), (5, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(METHODS)), METHODS)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_title(f"{cell} data: the advice {verdict(result, cell)}\n(best: {best(result, cell)})")
        axes.set_xlabel("test error (%)")
    figure.suptitle(
        "Blue and hatched: what deck 1 advises. layer1, 2, 3 are the stages, 3 is the top", fontsize="medium"
    )


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(11, 7))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
