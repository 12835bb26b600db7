"""The weights of a checkpoint into a model, if they are that model's."""

from .checkpoint import CheckpointError


def load_model(model, state, classes, source):
    """Load `state`, of the checkpoint at `source`; CheckpointError, and nothing changed, if it is of another model or
    of other classes than these names."""
    if "model" not in state or "classes" not in state:
        raise CheckpointError(f"{source} holds no model of a training run; give a checkpoint that training has written")
    if state["classes"] != list(classes):
        raise CheckpointError(
            f"{source} was trained on {_few(state['classes'])}, but the pictures are of {_few(classes)}; "
            "give the folder that belongs to it"
        )
    try:
        model.load_state_dict(state["model"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{source} is a checkpoint of another model, with settings {state['settings']}: {error.args[0]}"
        ) from None


def _few(classes):
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"
