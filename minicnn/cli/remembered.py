"""What a checkpoint remembers of the command line, and what is done with the settings of earlier versions.

Settings are also read from files that anybody may have written. So each is held against the flag that could have given
it: what no command line can give is refused.
"""

import contextlib
import io
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..train.restore import unusable

# what a checkpoint does not remember
OF_THIS_CALL = ("resume", "evaluate", "ensemble", "tta", "scales", "output_dir", "other_pictures", "config")
# settings that earlier checkpoints lack, and what they had
ADDED = {"drop_last": False, "zero_padding": "behind", "norm_across_halves": True}
ADDED |= {"accumulate": 1, "shards": None, "send": "float32", "step_timeout": 0.0}
ADDED |= {"sync_bn": False, "lr_for_batch": None, "warmup": 0.0, "precision": "float32"}
ADDED |= {"cuda_graph": False}
ADDED |= {"opt": "sgd", "nesterov": False, "norm_weight_decay": None, "bias_weight_decay": None}
ADDED |= {"label_smoothing": 0.0, "clip_grad_norm": None, "early_stop": None}
ADDED |= {"model_ema": False, "model_ema_steps": 32, "model_ema_decay": 0.99998}
ADDED |= {"weights": None}
ADDED |= {"step_size": 30, "gamma": 0.1, "lr_min": 0.0, "warmup_epochs": 0, "warmup_decay": 0.01}
ADDED |= {"interpolation": "bilinear", "random_resized_crop": False, "crop_scale": [0.08, 1.0], "auto_augment": None}
ADDED |= {"ra_magnitude": 9, "color_jitter": 0.0, "random_erase": 0.0, "mixup": 0.0, "cutmix": 0.0}
ADDED |= {"train_crop_size": None, "report": True, "keep_best": None}
ADDED |= {"ra_sampler": False, "ra_reps": 3}
# what earlier checkpoints call them, in programs that have these
RENAMED = {"warmup_steps": "warmup", "sched": "schedule"}
SAID = {"sched": {"steps": "multistep"}}  # likewise of values


def check_settings(
    saved: dict[str, Any], args: Namespace, source: Path | str, parser: ArgumentParser | None = None
) -> None:
    """CheckpointError if the settings of a checkpoint are not all there, or, given the parser, not what it takes."""
    for name, before in RENAMED.items():
        if name in vars(args) and name not in saved and before in saved:
            value = saved.pop(before)
            saved[name] = SAID.get(name, {}).get(value, value) if isinstance(value, str) else value
    for name, value in ADDED.items():
        saved.setdefault(name, value)
    missing = [name for name in settings(args) if name not in saved]
    if missing:
        raise unusable(source, "settings", f"they lack {', '.join(missing)}")
    for name in settings(args):
        if parser is not None and not takes(parser, name, saved[name]):
            raise unusable(source, "settings", f"{name} is {saved[name]!r}")


def takes(parser: ArgumentParser, name: str, value: Any) -> bool:
    """Whether the command line can set `name` to this value, or cannot set `name` at all. Tried out: the words that
    would do so are parsed."""
    default = parser.get_default(name)
    if isinstance(default, dict):  # which the program sets itself, and no flag does
        return isinstance(value, dict)
    if value is None or isinstance(value, bool):  # a flag has no value
        return value is default or (isinstance(value, bool) and isinstance(default, bool))
    if name == "dir":
        words = ["--", str(value)]
    elif isinstance(value, list):
        words = [flag(name), *map(str, value)]
    else:
        words = [f"{flag(name)}={value}"]
    silent = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(silent), contextlib.redirect_stdout(silent):
        args, unknown = parser.parse_known_args(words)
        return unknown == words or getattr(args, name) == value
    return False


def settings(args: Namespace) -> dict[str, Any]:
    """What a checkpoint remembers of the arguments."""
    return {name: value for name, value in vars(args).items() if name not in OF_THIS_CALL}


def flag(name: str) -> str:
    """How the command line calls the setting of this name."""
    return "--" + name.replace("_", "-")
