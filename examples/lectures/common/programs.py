"""The programs of the series, by number."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1]
PATHS = tuple(sorted(path for path in FOLDER.glob("*.py") if re.match(r"\d\d_", path.name)))
NAMES = tuple(path.stem for path in PATHS)


def load(name: str) -> ModuleType:
    """The program of that name, "04_zero_mean", as a module: its Lecture is LECTURE."""
    spec = importlib.util.spec_from_file_location(f"lecture_{name}", FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def find(word: str) -> str | None:
    """The name that a number ("4"), a name ("zero_mean") or both ("04_zero_mean") means; None if there is none."""
    for name in NAMES:
        number, _, rest = name.partition("_")
        if word in (name, rest) or (word.isdecimal() and int(word) == int(number)):
            return name
    return None
