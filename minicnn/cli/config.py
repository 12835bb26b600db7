"""--config FILE: settings in a file, the args.json of a former run or one that somebody has written.

    {"arch": "resnet50", "opt": "sgd", "lr": 0.5, "label-smoothing": 0.1}

A key is a flag's name, with - or _ in it, or the name that args.json has for it. What belongs to one call and not to a
run, such as --resume, and args.json's account of the machine are left out; so is null, which is no setting.
"""

import difflib
import json
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import Any

from ..errors import SettingError
from .remembered import OF_THIS_CALL, SAID, flag, takes

LARGEST = 1 << 20  # bytes; there are a few thousand
NO_SETTINGS = (*OF_THIS_CALL, "environment")


def load_config(path: Path | str, parser: ArgumentParser, args: Namespace) -> dict[str, Any]:
    """{name: value} of the settings in the file, for the parser's defaults.

    args: the command line as it is; pictures that it names go before those of the file. SettingError for a file that
    cannot be read, for a key that is no setting, and for a value that its flag would not take.
    """
    named = {option.lstrip("-").replace("-", "_"): name for option, name in _options(parser)}
    own, found = vars(args), {}
    for key, value in _read(path).items():
        name = key if key in own else named.get(key.replace("-", "_"))
        if key in NO_SETTINGS or name in NO_SETTINGS:
            continue
        if name is None:
            near = difflib.get_close_matches(key, [*own, *named], 1)
            advice = f"did you mean {near[0]}?" if near else "--help lists them, without their --"
            raise SettingError(f"{path}: {key!r:.60} is no setting of this program; {advice}")
        if name in found:
            raise SettingError(f"{path}: {name} stands there twice, by two of its names")
        if value is None:
            continue
        if isinstance(value, str):
            value = SAID.get(name, {}).get(value, value)
        if not takes(parser, name, value):
            raise SettingError(f"{path}: {key} cannot be {value!r:.60}; see {flag(name)} in --help")
        found[name] = float(value) if isinstance(parser.get_default(name), float) else value  # 1 is 1.0 there
    if args.dummy:
        found.pop("dir", None)
    if args.dir:
        found.pop("dummy", None)
    return found


def _options(parser):
    """(a flag, the name of its setting), of those that set it to anything or turn it on."""
    for action in parser._actions:
        for option in action.option_strings:
            turns_off = action.const is False or (isinstance(action, BooleanOptionalAction) and option[:5] == "--no-")
            if option.startswith("--") and not turns_off:  # neither --no-tensorboard nor --no-report
                yield option, action.dest


def _read(path):
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        found = json.loads(content) if len(content) <= LARGEST else None
    except OSError as error:
        raise SettingError(
            f"--config {path} cannot be read: {error.strerror or error}; give a file of settings"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SettingError(
            f"--config {path} is no JSON: {str(error)[:80]}; give an args.json, or a file like it"
        ) from None
    if not isinstance(found, dict):
        raise SettingError(f'--config {path} holds no settings; write {{"lr": 0.1, ...}}')
    return found
