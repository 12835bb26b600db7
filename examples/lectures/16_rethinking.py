"""Is pre-training needed? From scratch, the same error takes longer.

Claim      "Training from scratch can work just as well as training from a pretrained ImageNet model for object
           detection"; "But it takes 2-3x as long to train"; "They also find that collecting more data is better than
           finetuning on a related task" (deck 1, "Transfer Learning might not always be necessary!").
Published  He, Girshick and Dollár, "Rethinking ImageNet pre-training", ICCV 2019, abstract: on COCO, detectors from
           scratch are no worse once they are trained for longer, up to 50.9 AP without any other data, and with 10 % of
           its 118,000 pictures, too. That more data of the task itself can be more useful is said in the discussion,
           without a figure.
Done       A ResNet-8 that has learnt five kinds of texture, 300 pictures of each, and one from random weights, learn
           five other kinds (of the same drawing program, which favours transfer), from 100 pictures of each and from 10
           (10 %), with schedules of 1, 2, 3 and 6 times 50 steps; each schedule is a run of its own, whose learning
           rate falls to 0. (1x is that short because a trial with 100 steps and 100 pictures left both below 1 %, with
           nothing to catch up.) The first rate is chosen of three by 250 validation pictures, for each beginning and
           amount of data, at 1x. Scratch has caught up where its mean error over the seeds is no larger than that of
           fine-tuning at 1x, whose error goes on falling from there with 100 pictures; so equal lengths are compared,
           too. On more data: scratch with 100 pictures is compared with fine-tuning with 10. --full DIR: your own
           pictures, a folder for each of ten classes or more.
Measured   With 100 a class, at 2x scratch is as good as fine-tuning at 1x (1.3 ± 0.3 against 2.1 ± 1.7 % test error);
           with 10 a class, even at 6x scratch is not as good as fine-tuning at 1x (20.8 ± 4.8 against 10.5 ± 3.2 % test
           error). At equal length fine-tuning has less error at 1x, 2x, 3x with 100 a class and at 1x, 2x, 3x with 10 a
           class. More data: scratch with 100 a class has less error than fine-tuning with 10 a class at 2x, 3x. 1x is
           50 steps; 3 seeds.
Look at    examples/lectures/common/pretraining.py, minicnn/optim/lr_scheduler.py
"""

import sys

from common import style
from common.experiment import Lecture, Run
from common.pretraining import Beginning, learn
from common.statistics import mean, seeds, spread, with_spread
from common.training import error, train

RATES = 0.03, 0.1, 0.3
MULTIPLES = {"pre-trained": (1, 2, 3), "from scratch": (1, 2, 3, 6)}
CHOOSING = 1000  # the seed of the training set that rates are chosen with


def measure(run: Run) -> dict:
    """Test errors by beginning, amount of data and length of the schedule; what the validation pictures chose."""
    start = learn(run)
    steps = run.pick(5, 50, 2000)  # of 1x
    errors, rates = {}, {}
    for per_class in run.pick((10, 5), (100, 10), (900, 90)):
        for beginning, multiples in MULTIPLES.items():
            name = f"{beginning}, {per_class} a class"

            def once(multiple, lr, seed, args=(start, beginning, per_class)):
                label = f"{args[1]}, {args[2]}, {multiple}, {lr}, {seed}"
                return run.once(label, _errors, *args, multiple * steps, lr, seed)

            validated = {lr: once(1, lr, CHOOSING)["validation"] for lr in run.pick(RATES[:1], RATES)}
            rates[name] = min(validated, key=lambda lr: validated[lr])
            errors[name] = {
                str(multiple): [once(multiple, rates[name], seed)["test"] for seed in run.seeds]
                for multiple in multiples
            }
    return {"pretrained_error": start.error, "steps": steps, "errors": errors, "rates": rates}


def _errors(start: Beginning, beginning: str, per_class: int, steps: int, lr: float, seed: int) -> dict:
    task = start.similar
    images, labels = task.training_set(per_class, seed)
    batch = 10 if len(images) < 500 else 20
    model = start.network(seed, beginning == "pre-trained")
    options = {"batch_size": batch, "weight_decay": 5e-4}
    train(model, images, labels, epochs=max(1, steps * batch // len(images)), lr=lr, seed=seed, options=options)
    parts = ("validation", task.validation, task.validation_labels), ("test", task.test, task.test_labels)
    return {part: error(model, x, truth) for part, x, truth in parts}


def amounts(result: dict) -> list[str]:
    """ "100 a class", "10 a class"."""
    return list(dict.fromkeys(name.partition(", ")[2] for name in result["errors"]))


def caught_up(result: dict, amount: str) -> str | None:
    """The shortest schedule, "3", with which scratch is as good as fine-tuning at 1x; None if none is."""
    goal = mean(result["errors"][f"pre-trained, {amount}"]["1"])
    scratch = result["errors"][f"from scratch, {amount}"]
    return next((multiple for multiple, errors in scratch.items() if mean(errors) <= goal), None)


def measured(result: dict) -> str:
    """Whether scratch catches up, and is as good at equal length; whether more data is better."""

    def lengths(one, other):  # "2x, 3x": where the one has less error than the other after as many steps
        return ", ".join(f"{n}x" for n in one if n in other and mean(one[n]) < mean(other[n])) or "no length"

    pieces, equal = [], []
    for amount in amounts(result):
        tuned, scratch = (result["errors"][f"{name}, {amount}"] for name in MULTIPLES)
        found, longest = caught_up(result, amount), list(scratch)[-1]
        against = f"{with_spread(scratch[found or longest])} against {with_spread(tuned['1'])} % test error"
        when = f"at {found}x scratch is" if found else f"even at {longest}x scratch is not"
        pieces.append(f"with {amount}, {when} as good as fine-tuning at 1x ({against})")
        equal.append(f"{lengths(tuned, scratch)} with {amount}")
    much, little = amounts(result)
    tuned, scratch = result["errors"][f"pre-trained, {little}"], result["errors"][f"from scratch, {much}"]
    text = (
        f"{'; '.join(pieces)}. At equal length fine-tuning has less error at {' and at '.join(equal)}. More data:"
        f" scratch with {much} has less error than fine-tuning with {little} at {lengths(scratch, tuned)}."
    )
    return f"{text[0].upper()}{text[1:]} 1x is {result['steps']} steps; {seeds(tuned['1'])}."


def draw(figure, result):
    """Error against steps, for both beginnings; a panel for each amount of data."""
    for axes, amount in zip(figure.subplots(1, 2), amounts(result), strict=True):
        for i, beginning in enumerate(MULTIPLES):
            errors = result["errors"][f"{beginning}, {amount}"]
            steps = [int(multiple) * result["steps"] for multiple in errors]
            spreads = [spread(values) for values in errors.values()]
            look = {"color": style.COLORS[i], "marker": style.MARKERS[i], "linestyle": style.LINES[i], "capsize": 3}
            axes.errorbar(steps, [mean(values) for values in errors.values()], spreads, label=beginning, **look)
        goal = mean(result["errors"][f"pre-trained, {amount}"]["1"])
        axes.axhline(goal, color=style.BLACK, linewidth=1, linestyle=":", marker="", label="pre-trained at 1x")
        found = caught_up(result, amount)
        match = f"scratch at {found}x matches" if found else "scratch does not match"
        axes.set_title(f"{amount}: {match} pre-trained at 1x")
        axes.set_xticks(steps, [f"{multiple}x" for multiple in errors])  # those of scratch, which has more
        axes.set_xlabel(f"length of the schedule (1x = {result['steps']} steps)")
        axes.set_ylabel("test error (%)")
        axes.set_ylim(bottom=0)
        axes.legend()


LECTURE = Lecture(__file__, __doc__, measure, measured, draw)

if __name__ == "__main__":
    sys.exit(LECTURE.main())
