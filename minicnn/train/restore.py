"""The checkpoint of a training run, and its weights into a model, if they are that model's."""

import contextlib

import numpy as np

from ..data import Normalize
from ..data.record import check_record
from .checkpoint import CheckpointError, load_checkpoint

PARTS = {
    "settings": dict,
    "classes": list,
    "environment": dict,
    "position": dict,
    "best": (dict, type(None)),
    "scores": dict,
    "bad_pictures": dict,
    "pictures": dict,
    "random": dict,
    "schedule": dict,
    "normalize": dict,
    "model": dict,
    "optimizer": dict,
}


def load_run(path):
    """The state that ``Trainer.save`` wrote to `path`; CheckpointError if it is anything else."""
    state = load_checkpoint(path)
    parts = state if isinstance(state, dict) else {}
    parts.setdefault("pictures", {})  # written before checkpoints knew their pictures
    missing = [part for part, kind in PARTS.items() if part not in parts or not isinstance(parts[part], kind)]
    if missing:
        raise CheckpointError(
            f"{path} holds no training run, it lacks {', '.join(missing)}; give a checkpoint that training has written"
        )
    if not all(isinstance(name, str) for name in state["classes"]):
        raise unusable(path, "classes", "they are no names")
    with reading(path, "pictures"):
        check_record(state["pictures"])
    return state


def unusable(source, part, reason):
    """The error of a checkpoint of which one part is foreign or incomplete."""
    return CheckpointError(
        f"{source}: its {part} cannot be used here, {reason}; give a checkpoint that this program has written"
    )


@contextlib.contextmanager
def reading(source, part):
    """What fails inside the block fails because of that part of the checkpoint, and becomes a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise unusable(source, part, f"{type(error).__name__}: {error}") from error


def fits(saved, own):
    """Whether a saved state is built like one's own: the same keys, numbers where numbers are, arrays of its shapes."""
    if isinstance(own, dict):
        return isinstance(saved, dict) and saved.keys() == own.keys() and all(fits(saved[key], own[key]) for key in own)
    if isinstance(own, list):
        return isinstance(saved, list) and len(saved) == len(own) and all(map(fits, saved, own))
    if isinstance(own, (int, float)):
        return isinstance(saved, (int, float))
    return np.shape(saved) == own.shape if hasattr(own, "shape") else True


def load_normalizer(state, image_size, source):
    """The fitted normaliser of a checkpoint, tried out on a blank picture."""
    with reading(source, "normalize"):
        normalize = Normalize.from_state_dict(state["normalize"])
        normalize(np.zeros((1, 3, image_size, image_size), np.uint8))
    return normalize


def load_model(model, state, classes, source):
    """Load `state`, of the checkpoint at `source`; CheckpointError, and nothing changed, if it is of another model or
    of other classes than these names."""
    if state["classes"] != list(classes):
        raise CheckpointError(
            f"{source} was trained on {_few(state['classes'])}, but the pictures are of {_few(classes)}; "
            "give the folder that belongs to it"
        )
    try:
        model.load_state_dict(state["model"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{source} is a checkpoint of another model, with settings {state['settings']}: {error.args[0]}"
        ) from None


def _few(classes):
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"
