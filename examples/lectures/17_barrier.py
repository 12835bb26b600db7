"""Is there a barrier between two solutions? On the line between their weights.

Claim      "There is no performance barriers between finetune models"; "Finetune models reside in the same basin";
           "RandInits end up in a different basin, even for the same random seed" (deck 1, "Performance barrier between
           different solutions", under which stands "He et al."; the figure is of Neyshabur et al.).
Published  Neyshabur, Sedghi and Zhang, "What is being transferred in transfer learning?", NeurIPS 2020, abstract: from
           pre-trained weights, a network stays in the same basin of the loss. They show it in curves, without a figure
           to compare with.
Done       Pairs of ResNets with 8 layers learn five kinds of texture, 100 pictures of each. They begin with what a
           network has learnt of five other kinds (of the same drawing program, which favours transfer), or with random
           weights. The two of a pair differ in something random: the order of the pictures, the new last layer (the
           head), or the first weights. All learn at a rate of .03, as smaller steps alone keep a pair closer together;
           in a trial it was enough for random weights, too. On the straight line from the weights of one to those of
           the other, 11 points are tried; at each the statistics of batch norm are computed anew from the training
           pictures. The barrier is the most by which the test loss (or error) rises above the straight line between its
           ends. --full DIR: your own pictures, a folder for each of ten classes or more.
Measured   Barrier of the test loss in nats, 3 seeds (with batch norm's statistics merely interpolated; of the error in
           points): pre-trained, other order 0.000 ± 0.000 (0.000 ± 0.000; error 0.1 ± 0.0); pre-trained, other head and
           order 0.003 ± 0.001 (0.004 ± 0.001; error 0.1 ± 0.1); random weights, other order 0.003 ± 0.001 (0.018 ±
           0.008; error 0.1 ± 0.1); other random weights and order 1.220 ± 0.130 (1.966 ± 0.214; error 48.3 ± 8.7). A
           barrier between networks of the same random weights does not show itself here.
Look at    minicnn/train/statistics.py, examples/lectures/common/line.py
"""

import sys

import numpy as np
from common import style
from common.experiment import Lecture, Run
from common.line import barrier, between
from common.pretraining import learn
from common.statistics import mean, seeds, with_spread
from common.training import scores, train

from minicnn import Tensor, nn
from minicnn import functional as F
from minicnn.train import update_bn

RATE = 0.03  # of learning, for all
POINTS = 11
OTHER = 100  # added to a seed: another one
PAIRS = {  # name: whether it is pre-trained, and which of (initial weights, order of the pictures) differ
    "pre-trained, other order": (True, (False, True)),
    "pre-trained, other head and order": (True, (True, True)),
    "random weights, other order": (False, (False, True)),
    "other random weights and order": (False, (True, True)),
}
SAME = "random weights, other order"
LEAST = 0.2  # nats: from here on it is called a barrier
STATISTICS = "computed anew", "interpolated"  # batch norm's, between the ends


def measure(run: Run) -> dict:
    """Loss and error along the line of each pair, with both kinds of statistics; and of the networks themselves."""
    start = learn(run)
    task = start.similar
    per_class, epochs = run.pick(8, 100, 900), run.pick(1, 8, 20)

    def trained(pretrained: bool, init: int, order: int, seed: int) -> nn.Module:
        model = start.network(init, pretrained)
        images, labels = task.training_set(per_class, seed)
        options = {"batch_size": 20, "weight_decay": 5e-4}
        train(model, images, labels, epochs=epochs, lr=RATE, seed=order, options=options)
        return model

    def lines(seed: int, pretrained: bool) -> dict:
        images = task.training_set(per_class, seed)[0]
        first, found = trained(pretrained, seed, seed, seed), {}
        for name, (begins_so, (other_init, other_order)) in PAIRS.items():
            if begins_so == pretrained:
                second = trained(pretrained, seed + OTHER * other_init, seed + OTHER * other_order, seed)
                found[name] = along(first, second, images, task, start.network(0))
        return found

    curves: dict = {}
    for seed in run.seeds:
        for pretrained in (True, False):
            for name, line in run.once(f"{pretrained}, {seed}", lines, seed, pretrained).items():
                curves.setdefault(name, []).append(line)
    barriers = {
        f"{kind}, {name}, {statistics}": [barrier(line[statistics][kind]) for line in some]
        for name, some in curves.items()
        for statistics in STATISTICS
        for kind in ("loss", "error")
    }
    return {"pretrained_error": start.error, "barriers": barriers, "curves": curves}


def along(first, second, images, task, model) -> dict:
    """Loss and error at each point of the line, computed by `model`; "ends": those of the two networks themselves."""
    order = np.random.default_rng(0).permutation(len(images))
    batches = [Tensor(images[some]) for some in np.array_split(order, -(-len(images) // 100))]
    found: dict = {statistics: {"loss": [], "error": []} for statistics in STATISTICS}
    for t in np.linspace(0, 1, POINTS):
        model.load_state_dict(between(first.state_dict(), second.state_dict(), t))
        for statistics in reversed(STATISTICS):
            if statistics == "computed anew":
                update_bn(batches, model)
            for kind, value in tested(model, task).items():
                found[statistics][kind].append(value)
    return found | {"ends": [tested(network, task) for network in (first, second)]}


def tested(model, task) -> dict[str, float]:
    """Its loss (in nats) and error (in %) on the test pictures."""
    given = scores(model, task.test)
    loss = F.cross_entropy(Tensor(given), task.test_labels).item()
    return {"loss": loss, "error": 100 * float((given.argmax(1) != task.test_labels).mean())}


def measured(result: dict) -> str:
    """The barriers of each pair; without new statistics; whether the same random weights make one."""
    barriers = result["barriers"]
    by_pair = "; ".join(
        f"{name} {with_spread(barriers[f'loss, {name}, computed anew'], 3)} "
        f"({with_spread(barriers[f'loss, {name}, interpolated'], 3)}; error "
        f"{with_spread(barriers[f'error, {name}, computed anew'])})"
        for name in PAIRS
    )
    same, merely = (barriers[f"loss, {SAME}, {statistics}"] for statistics in STATISTICS)
    shown = "shows itself here, too" if mean(same) >= LEAST else "does not show itself here"
    if mean(same) < LEAST <= mean(merely):
        shown += ", unless batch norm's statistics are left as they are"
    return (
        f"Barrier of the test loss in nats, {seeds(same)} (with batch norm's statistics merely interpolated; of the "
        f"error in points): {by_pair}. A barrier between networks of the same random weights {shown}."
    )


def draw(figure, result):
    left, right = figure.subplots(1, 2, sharey=True)
    t = np.linspace(0, 1, POINTS)
    for axes, statistics in ((left, STATISTICS[0]), (right, STATISTICS[1])):
        for i, (name, lines) in enumerate(result["curves"].items()):
            for number, line in enumerate(lines):
                look = {"color": style.COLORS[i], "marker": style.MARKERS[i], "linestyle": style.LINES[i], "alpha": 0.8}
                look |= {"linewidth": 5, "markersize": 8, "alpha": 0.3} if i == 0 else {}  # the second lies on it
                label = name if number == 0 else None
                axes.plot(t, line[statistics]["loss"], label=label, **look)
        axes.set_title(f"batch norm's statistics {statistics}")
        axes.set_xlabel("share of the way from the first network to the second")
    left.set_ylabel("test loss (nats)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)


LECTURE = Lecture(__file__, __doc__, measure, measured, draw)

if __name__ == "__main__":
    sys.exit(LECTURE.main())
