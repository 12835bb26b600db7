"""Inputs that are all positive: the weights of a neuron can only grow together or shrink together.

Claim      If the input to a neuron is always positive, the gradients on w are always all positive or all negative;
           this is also why you want zero-mean data (deck 1, "Why zero-mean the input?"). Sigmoid outputs are not
           zero-centred, tanh's are (deck 1, "Flashback To Activation Functions"); nor are ReLU's (deck 1, "ReLU").
Published  None.
Done       An untrained fully connected net has 64 hidden neurons. We look at the signs of its weights' gradients, for
           single pictures and for batches of 32, with pixels of 0 to 1 and after subtracting the mean picture; then at
           those of the second layer, whose inputs are sigmoids, tanhs or ReLUs. Last, a neuron of two weights learns t
           = x1 - x2 from 200 pairs of numbers, uniform in (0, 1) or in (-1/2, 1/2), until 1 % of the way is left: from
           all pairs at once at the rate 1/L, where L is the largest curvature of the loss, and pair by pair at the rate
           1 / the largest |x|^2. --full DIR: your own pictures, a folder for each class.
Measured   For a single picture, 100.0 % of the neurons have weight gradients of one sign only; after subtracting the
           mean picture 0.20 %, for the 0.20 % of the pictures that are darker or brighter than it everywhere; in the
           next layer 100.0 % behind sigmoid, 0.0 % behind tanh, 100.0 % behind ReLU (zeros apart). This is of single
           pictures: in a batch of 32 the more frequent sign has 89 % of a neuron's weights, and 65 % after subtracting.
           Gradient descent takes 32.2 ± 2.4 steps with positive inputs and 2.8 ± 1.3 with centred ones, pair by pair
           104 ± 13 and 21 ± 11 (5 seeds).
Look at    minicnn/ops/linear.py, for the gradient: grad_weight = grad_out^T x, each row a multiple of x.
           minicnn/data/normalize.py.
"""

import sys

import numpy as np
from common.classes import classes
from common.experiment import Lecture
from common.statistics import mean, seeds, with_spread
from common.style import BLACK, BLUE, VERMILION, bars

import minicnn
from minicnn import functional as F
from minicnn import nn
from minicnn.data import MeanImage, ZeroToOne

NEURONS, BATCH, PAIRS = 64, 32, 200
LAYERS = {  # what goes into the layer whose gradients are looked at: (pictures, activation, its number in the net)
    "pixels 0..1": ("raw", nn.Sigmoid, 1),
    "mean subtracted": ("centred", nn.Sigmoid, 1),
    "sigmoid": ("centred", nn.Sigmoid, 3),
    "tanh": ("centred", nn.Tanh, 3),
    "ReLU": ("centred", nn.ReLU, 3),
}


def measure(run):
    per_class = run.pick(quick=4, default=20, full=100)
    each = [_signs(run.folder, per_class, seed) for seed in run.seeds]
    shares = {name: [one[name] for one in each] for name in LAYERS}
    raw, centred = ([_descent(seed, shift) for seed in run.seeds] for shift in (0.0, 0.5))
    result = {kind: {name: mean([s[kind] for s in shares[name]]) for name in LAYERS} for kind in ("one_sign", "batch")}
    result["one_sided_pictures"] = mean([one["one_sided_pictures"] for one in each])
    result["steps"] = {"raw": [one["steps"] for one in raw], "centred": [one["steps"] for one in centred]}
    result["single_steps"] = {"raw": [one["single"] for one in raw], "centred": [one["single"] for one in centred]}
    result["curves"] = {"raw": raw[0]["path"], "centred": centred[0]["path"]}
    result["curves"]["signs"] = {name: shares[name][0]["map"] for name in list(LAYERS)[:2]}
    return result


def _signs(folder, per_class, seed):
    """For each of LAYERS, in percent: neurons whose weight gradients have one sign only, for single pictures; for a
    batch, the share of the more frequent sign."""
    data = classes(folder, per_class, 1, side=32, seed=seed)
    pictures = {"raw": ZeroToOne()(data.train), "centred": MeanImage().fit([data.train])(data.train) / 255}
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.train))
    darker, brighter = ((sign * pictures["centred"] >= 0).all(axis=(1, 2, 3)) for sign in (-1, 1))  # everywhere
    found = {"one_sided_pictures": 100 * (darker | brighter).mean()}
    for name, (kind, activation, layer) in LAYERS.items():
        minicnn.manual_seed(seed)
        first, last = nn.Linear(3 * 32 * 32, NEURONS), nn.Linear(NEURONS, len(data.classes))
        model = nn.Sequential(nn.Flatten(), first, activation(), last)
        single = [_gradient(model, layer, pictures[kind], data.train_labels, [i]) for i in order]
        batch = _gradient(model, layer, pictures[kind], data.train_labels, order[:BATCH])
        alone = np.concatenate([np.minimum((g > 0).sum(1), (g < 0).sum(1))[g.any(axis=1)] == 0 for g in single])
        most = np.maximum((batch > 0).sum(1), (batch < 0).sum(1)) / np.maximum((batch != 0).sum(1), 1)
        found[name] = {"one_sign": 100 * alone.mean(), "batch": 100 * most[batch.any(axis=1)].mean()}
        found[name]["map"] = np.sign(single[0][:24, ::43])  # a part of it, to be drawn
    return found


def _gradient(model, layer, images, labels, chosen):
    """(neurons, inputs): of the mean loss of the chosen pictures."""
    model.zero_grad()
    F.cross_entropy(model(minicnn.Tensor(images[chosen])), minicnn.Tensor(labels[chosen])).backward()
    return model[layer].weight.grad.numpy()


def _descent(seed, shift):
    """Steps until 1 % of the distance to the weights (1, -1) is left, and the path of the first single steps."""
    x = np.random.default_rng([seed, 2]).random((PAIRS, 2)) - shift
    t = x @ [1.0, -1.0]
    largest = np.linalg.eigvalsh(x.T @ x / PAIRS)[-1]
    steps, _ = _descend(lambda w, _: x.T @ (x @ w - t) / PAIRS / largest)
    longest = (x**2).sum(axis=1).max()
    order = np.random.default_rng([seed, 3]).integers(0, PAIRS, 100_000)
    single, path = _descend(lambda w, k: x[order[k]] * (x[order[k]] @ w - t[order[k]]) / longest)
    return {"steps": steps, "single": single, "path": path[:120]}


def _descend(step):
    w, goal = np.zeros(2), np.array([1.0, -1.0])
    path = [w]
    while np.linalg.norm(w - goal) > 0.01 * np.linalg.norm(goal):
        w = w - step(w, len(path) - 1)
        path.append(w)
    return len(path) - 1, np.array(path)


def measured(result):
    one, batch, whole, single = (result[name] for name in ("one_sign", "batch", "steps", "single_steps"))
    outputs = ", ".join(f"{one[name]:.1f} % behind {name}" for name in ("sigmoid", "tanh", "ReLU"))
    return (
        f"For a single picture, {one['pixels 0..1']:.1f} % of the neurons have weight gradients of one sign only; "
        f"after subtracting the mean picture {one['mean subtracted']:.2f} %, for the "
        f"{result['one_sided_pictures']:.2f} % of the pictures that are darker or brighter than it everywhere; in the "
        f"next layer {outputs} (zeros apart). "
        f"This is of single pictures: in a batch of {BATCH} the more frequent sign has {batch['pixels 0..1']:.0f} % of "
        f"a neuron's weights, and {batch['mean subtracted']:.0f} % after subtracting. Gradient descent takes "
        f"{with_spread(whole['raw'])} steps with positive inputs and {with_spread(whole['centred'])} with centred "
        f"ones, pair by pair {with_spread(single['raw'], 0)} and {with_spread(single['centred'], 0)} "
        f"({seeds(whole['raw'])})."
    )


def draw(figure, result):
    panels = figure.subplot_mosaic([["raw", "shares", "path"], ["centred", "shares", "path"]], width_ratios=[1, 1.2, 1])
    names = {"raw": "pixels 0..1", "centred": "mean subtracted"}
    for key, name in names.items():
        panels[key].imshow(result["curves"]["signs"][name], cmap="gray", vmin=-1.5, vmax=1.5, aspect="auto")
        panels[key].set(
            title=f"{name}: signs of the gradient", ylabel="neuron", xlabel="every 43rd weight (light +, dark -)"
        )
        panels[key].grid(visible=False)
    shares = list(result["one_sign"].values())
    bars(panels["shares"], [name.replace(" ", "\n") for name in result["one_sign"]], shares)
    panels["shares"].set(title="one picture: neurons whose gradient has one sign", ylabel="neurons (%)")
    panels["shares"].tick_params(axis="x", labelsize="small")
    for kind, color, line, marker in (("raw", VERMILION, "-", "."), ("centred", BLUE, "--", "x")):
        path, steps = np.array(result["curves"][kind]), result["single_steps"][kind][0]
        panels["path"].plot(*path.T, line, color=color, marker=marker, label=f"{kind} inputs: {steps} steps")
    panels["path"].plot(1, -1, "*", color=BLACK, markersize=12, linestyle="", label="the goal")
    panels["path"].set(title="two weights learn, pair by pair", xlabel="weight of x1", ylabel="weight of x2")
    panels["path"].legend(loc="lower left")


LECTURE = Lecture(__file__, __doc__, measure, measured, draw, seeds=5, size=(12, 4))

if __name__ == "__main__":
    sys.exit(LECTURE.main())
