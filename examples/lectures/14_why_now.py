"""Why it worked eventually: one ingredient at a time is taken away from a small net.

Claim      "CNNs are old. Why did it work eventually?" Big data, deep networks, backprop on GPUs, and "a number of small
           tweaks": ReLU for sigmoid, batch normalization, dropout (deck 1, "Backprop on GPU"; deck 2, "Let's work on
           cooler CNNs!").
Published  None for all of them together; each has a paper of its own.
Done       A net of five convolutions and two fully connected layers has all of it: ReLU, batch norm, dropout .5,
           shifted pictures, 1,000 digits of MNIST in 14 x 14 pixels. It is compared with the same net without one of
           these, without all of them, or shallow (one convolution, one fully connected layer). All take as many steps
           of 32 pictures; a quarter of the data is seen four times as often. For each net, one seed chooses one of
           three learning rates by 1,000 other digits; the other seeds are tested with it on 2,000 more. Backprop on a
           GPU is not tried, as there is none here. --full DIR: CIFAR-10 as a folder of pictures, 4,000 of each class
           and 500 to choose the rate by, mirrored too, a wider net.
Measured   Test error in %, 1000 pictures, 8 epochs: all of it 7.2 ± 0.3 (rate 0.03); sigmoid for ReLU 67.8 ± 19.1 (rate
           0.1, the edge of what was tried); no batch norm 24.1 ± 9.8 (rate 0.03); no dropout 4.6 ± 0.8 (rate 0.1, the
           edge of what was tried); no augmentation 5.7 ± 0.5 (rate 0.03); 1/4 of the data 8.7 ± 0.5 (rate 0.03);
           shallow 8.3 ± 0.5 (rate 0.03); none of it 13.0 ± 1.4 (rate 0.1, the edge of what was tried). 3 seeds. Better
           than all of it: no dropout, no augmentation.
Look at    minicnn/ops/batchnorm.py, minicnn/ops/dropout.py, minicnn/ops/activation.py
"""

import itertools
import sys
import textwrap
from typing import Any, NamedTuple

import numpy as np
from common import style
from common.classes import classes
from common.digits import digits
from common.experiment import Lecture, Run
from common.ingredients import Ingredients
from common.statistics import mean, seeds, spread, with_spread
from common.training import crop_and_flip, error, train

import minicnn
from minicnn import nn

ALL = Ingredients()
WITHOUT: dict[str, dict[str, Any]] = {
    "all of it": {},
    "sigmoid for ReLU": {"activation": nn.Sigmoid},
    "no batch norm": {"batch_norm": False},
    "no dropout": {"dropout": 0.0},
    "no augmentation": {"augmentation": False},
    "1/4 of the data": {"share": 4},
    "shallow": {"deep": False},
}
WITHOUT["none of it"] = {name: value for each in WITHOUT.values() for name, value in each.items()}
RATES = 0.03, 0.01, 0.1
SEARCH_SEED = 1000


class Data(NamedTuple):
    """float32 (N, C, H, W), mean 0 and variance 1 over the training pictures, and labels: to train on, to choose a rate
    by, to test on."""

    train: tuple[np.ndarray, np.ndarray]
    chosen_by: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def measure(run: Run) -> dict:
    data, width = load(run), run.pick(2, 8, 32)
    epochs, flip = run.pick(1, 8, 30), run.mode == "full"
    shape = data.train[0].shape[1], width, int(data.train[1].max()) + 1  # channels, filters, classes

    def errors(without, lr, seed):
        how = ALL._replace(**WITHOUT[without])
        minicnn.manual_seed(seed)
        net = how.build(*shape)
        count = len(data.train[0]) // how.share
        some = np.random.default_rng(seed).permutation(len(data.train[0]))[:count]
        options = {"augment": crop_and_flip(4 if flip else 1, flip) if how.augmentation else None}
        images, labels = (part[some] for part in data.train)
        train(net, images, labels, epochs=epochs * how.share, lr=lr, seed=seed, options=options)
        return {"chosen_by": error(net, *data.chosen_by), "test": error(net, *data.test)}

    result: dict = {"epochs": epochs, "pictures": len(data.train[0]), "rate": {}, "error": {}}
    for without in WITHOUT:
        tried = {
            lr: run.once(f"{without}, rate {lr}", errors, without, lr, SEARCH_SEED)["chosen_by"]
            for lr in RATES[: run.pick(1, len(RATES))]
        }
        rate = result["rate"][without] = min(tried, key=lambda lr: tried[lr])
        found = [run.once(f"{without}, seed {seed}", errors, without, rate, seed) for seed in run.seeds]
        result["error"][without] = [each["test"] for each in found]
    return result


def load(run: Run) -> Data:
    if run.folder:
        found = classes(run.folder, 4500, 1000, 32).standardised()
        order, count = np.random.default_rng(0).permutation(len(found.train)), len(found.train) // 9
        images, labels = found.train[order], found.train_labels[order]
        parts = [(images[count:], labels[count:]), (images[:count], labels[:count])]
        return Data(*parts, (found.test, found.test_labels))
    images, labels = digits()
    size = run.pick(64, 1000)
    pixels = images.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5), dtype=np.float32)  # of 28: a quarter of the work
    pixels = (pixels - pixels[:size].mean()) / pixels[:size].std()
    starts = 0, size, 2 * size, 4 * size
    return Data(*((pixels[a:b], labels[a:b]) for a, b in itertools.pairwise(starts)))


def measured(result: dict) -> str:
    texts = []
    for name, found in result["error"].items():
        rate = result["rate"][name]
        at_edge = ", the edge of what was tried" if rate in (min(RATES), max(RATES)) else ""
        texts.append(f"{name} {with_spread(found)} (rate {rate:g}{at_edge})")
    error = {name: mean(found) for name, found in result["error"].items()}
    better = [name for name in error if error[name] < error["all of it"]]
    return (
        f"Test error in %, {result['pictures']} pictures, {result['epochs']} epochs: {'; '.join(texts)}. "
        f"{seeds(result['error']['all of it'])}. Better than all of it: {', '.join(better) or 'nothing'}."
    )


def draw(figure, result: dict) -> None:
    axes = figure.subplots()
    errors = list(result["error"].values())
    names = [textwrap.fill(name, 12) for name in result["error"]]
    style.bars(axes, names, [mean(each) for each in errors], [spread(each) for each in errors])
    axes.set(ylabel="test error (%)", title="Taken away from a small net, one at a time")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, size=(9, 4.2))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
