"""The checkpoint of a training run, and its weights into a model, if they are that model's."""

import contextlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Normalize
from ..data.record import check_record
from ..device import to_device
from ..nn import Module
from ..storage.checkpoint import CheckpointError, State, load_checkpoint

PARTS: dict[str, Any] = {"settings": dict, "classes": list, "environment": dict, "position": dict}
PARTS |= {"best": (dict, type(None)), "scores": dict, "bad_pictures": dict, "pictures": dict, "random": dict}
PARTS |= {"schedule": dict, "warmup": dict, "normalize": dict, "model": dict, "optimizer": dict, "callbacks": dict}
ADDED = ("pictures", "warmup", "callbacks")  # which earlier checkpoints lack: there were none of these
CHECKED = ("position", "scores", "random", "schedule", "warmup", "normalize", "optimizer")  # before any is loaded


def load_run(path: Path | str) -> State:
    """The state that ``Trainer.save`` wrote to `path`; CheckpointError if it is anything else."""
    state = load_checkpoint(path)
    add_parts(state)
    if missing := missing_parts(state):
        what = f"{path} holds no training run, it lacks {', '.join(missing)}"
        raise CheckpointError(f"{what}; give a checkpoint that training has written")
    if not _are_texts(state["classes"]):
        raise unusable(path, "classes", "they are no names")
    with reading(path, "pictures"):
        check_record(state["pictures"])
    return state


def add_parts(state: Any) -> None:
    """Give the state of an earlier checkpoint the parts that there were none of."""
    for part in ADDED if isinstance(state, dict) else ():
        state.setdefault(part, {})
    with contextlib.suppress(TypeError, KeyError, AttributeError):  # what is no such state is refused elsewhere
        state["position"]["order"].setdefault("repeats", 1)


def check_run(state: State, own: State, model: Module, batches: int, source: Path | str) -> None:
    """CheckpointError unless the run whose `state` this is can go on as the one whose state is `own`.

    model: that of the latter; batches: of its epoch; source: the path of the checkpoint.
    """
    for part in missing_parts(state):
        raise unusable(source, part, "it is missing or of another kind")
    for part in CHECKED:
        if not fits(state[part], own[part]):
            raise unusable(source, part, "it is not built like this run's")
    check_values(state, source)
    then, now = state["position"], own["position"]
    if then["batch"] > batches:
        raise unusable(source, "position", f"an epoch has {batches} batches")
    if then["batch"] and then["order"] != now["order"]:
        what = f"{source} lies within an epoch of other batches ({then['order']}) than now ({now['order']})"
        raise CheckpointError(f"{what}; resume with the same pictures, batch size, seed and repeats")
    check_model(model, state, own["classes"], source)


def missing_parts(state: Any) -> list[str]:
    """The names of those parts of a run's state that are not there, or of another kind."""
    found = state if isinstance(state, dict) else {}
    return [part for part, kind in PARTS.items() if part not in found or not isinstance(found[part], kind)]


def check_values(state: State, source: Path | str) -> None:
    """CheckpointError if what a run goes on from, apart from what its network and its optimiser look at themselves, is
    not of the kind that the rest of the run takes it for."""
    for part, right, what in (
        ("classes", _are_texts(state["classes"]), "they are no names"),
        ("environment", _are_texts(state["environment"].values()), "it is not {name: text}"),
        ("bad_pictures", _are_texts(state["bad_pictures"].values()), "it is not {path: reason}"),
        ("best", state["best"] is None or _is_best(state["best"]), f"it is {state['best']!r:.100}"),
        ("position", _is_position(state["position"]), f"it is {state['position']!r:.100}"),
        ("scores", all(map(_is_sum, state["scores"].values())), "they are no sums with their counts"),
        ("random", _are_streams(state["random"]), "these are no streams of random numbers"),
    ):
        if not right:
            raise unusable(source, part, what)


def _are_texts(values):
    return all(isinstance(value, str) for value in values)


def _is_best(value):
    return value.keys() == {"epoch", "top1"} and _is_whole(value["epoch"]) and is_finite_number(value["top1"])


def _is_position(value):
    return value.keys() == {"epoch", "batch", "order"} and _is_whole(value["epoch"]) and _is_whole(value["batch"])


def _is_sum(value):
    return isinstance(value, list) and len(value) == 2 and is_finite_number(value[0]) and _is_whole(value[1])


def _are_streams(value):
    generator = np.random.default_rng().bit_generator
    with contextlib.suppress(TypeError, ValueError, OverflowError):  # then its state stays another one
        generator.state = value["init"]
    whole = all(_is_whole(value.get(name), below=1 << 64) for name in ("dropout_key", "dropout_calls"))
    return whole and generator.state == value["init"]


def _is_whole(value, below=sys.maxsize):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below


def is_finite_number(value: Any) -> bool:
    """Whether it is a plain number within the range of floats."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_finite_array(value: Any, kinds: str = "f") -> bool:
    """Whether it is an array of these kinds of dtypes without infinities and NaN."""
    return hasattr(value, "dtype") and value.dtype.kind in kinds and bool(np.isfinite(to_device(value, "cpu")).all())


def unusable(source: Path | str, part: str, reason: str) -> CheckpointError:
    """The error of a checkpoint of which one part is foreign or incomplete."""
    what = f"{source}: its {part} cannot be used here, {reason}"
    return CheckpointError(f"{what}; give a checkpoint that this program has written")


@contextlib.contextmanager
def reading(source: Path | str, part: str) -> Iterator[None]:
    """What fails inside the block fails because of that part of the checkpoint, and becomes a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unusable(source, part, f"{type(error).__name__}: {error}") from error


def load_together(objects: Mapping[str, Any], state: State, own: State, source: Path | str) -> None:
    """Each of the {name: object} loads its part of `state`; where one does not fit, a CheckpointError, and all of them
    have their `own` again. source: the checkpoint's path."""
    try:
        for part, each in objects.items():
            with reading(source, part):
                each.load_state_dict(state[part])
    except CheckpointError:
        for part, each in objects.items():
            each.load_state_dict(own[part])
        raise


def fits(saved: Any, own: Any) -> bool:
    """Whether a saved state is built like one's own: the same keys, texts where texts are, finite numbers where numbers
    are, finite arrays of its shapes. Where nothing stands yet in one's own, an array or any number may stand."""
    if isinstance(own, dict):
        return isinstance(saved, dict) and saved.keys() == own.keys() and all(fits(saved[key], own[key]) for key in own)
    if isinstance(own, (list, tuple)):  # a file has lists for tuples
        return isinstance(saved, (list, tuple)) and len(saved) == len(own) and all(map(fits, saved, own))
    if own is None:
        without_bound = isinstance(saved, float) and math.isinf(saved)  # a metric's best, before a finite one
        return saved is None or without_bound or is_finite_number(saved) or is_finite_array(saved)
    if isinstance(own, (bool, str)):
        return type(saved) is type(own)
    if isinstance(own, (int, float)):
        return is_finite_number(saved)
    return is_finite_array(saved, own.dtype.kind) and saved.shape == own.shape


def load_normalizer(state: State, image_size: int, source: Path | str) -> Normalize:
    """The fitted normaliser of a checkpoint, tried out on a blank picture."""
    with reading(source, "normalize"), np.errstate(all="ignore"):
        normalize = Normalize.from_state_dict(state["normalize"])
        pixels = normalize(np.zeros((1, 3, image_size, image_size), np.uint8))
    if not np.isfinite(pixels).all():
        raise unusable(source, "normalize", "it makes numbers that are not finite")
    return normalize


def load_model(model: Module, state: State, classes: Sequence[str], source: Path | str) -> None:
    """Load `state`, of the checkpoint at `source`; CheckpointError, and nothing changed, if it is of another model or
    of other classes than these names."""
    check_model(model, state, classes, source)
    model.load_state_dict(state["model"])


def check_model(model: Module, state: State, classes: Sequence[str], source: Path | str) -> None:
    """The same CheckpointError, if there is to be one; nothing is changed."""
    if state["classes"] != list(classes):
        what = f"{source} was trained on {_few(state['classes'])}, but the pictures are of {_few(classes)}"
        raise CheckpointError(f"{what}; give the folder that belongs to it")
    for name, array in state["model"].items():
        if not is_finite_array(array, "fiub"):
            raise unusable(source, "model", f"{name} is no array of finite numbers")
    own, saved = ({name: value.shape for name, value in each.items()} for each in (model.state_dict(), state["model"]))
    if wrong := [name for name in own | saved if own.get(name) != saved.get(name)]:
        raise CheckpointError(
            f"{source} is a checkpoint of another model, with settings {state['settings']!s:.300}: "
            f"{len(wrong)} shapes differ, such as {wrong[0]}: {saved.get(wrong[0])}, not {own.get(wrong[0])}"
        )


def _few(classes):
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"
