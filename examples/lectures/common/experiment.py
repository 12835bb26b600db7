"""A program of the series: it measures, writes what it has measured, draws it, and says it in a line of JSON.

A program has three functions, and puts them together at its end:

    measure(run)       -> the results, a dict; what only the figure needs lies under "curves"
    measured(result)   -> the results in a sentence or two
    draw(figure, result)

    LECTURE = Lecture(__file__, __doc__, measure, measured, draw)

    if __name__ == "__main__":
        sys.exit(LECTURE.main())
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import minicnn
from minicnn.console import say, tell
from minicnn.errors import SettingError
from minicnn.pretrained import WeightsError
from minicnn.storage.files import atomic_write, sync, write_json
from minicnn.train import exit_code
from minicnn.train.environment import cpu_name

from . import style
from .page import parts
from .source import fingerprint

T = TypeVar("T")
DEFAULT_SEEDS, MOST_SEEDS = 3, 1000
OUT = Path("runs") / "lectures"


@dataclass(frozen=True)
class Run:
    """How a program is to measure: in which mode ("quick", "default", "full"), on what, with how many seeds."""

    mode: str
    folder: Path | None  # --full DIR
    seeds: range
    kept: dict[str, Any] = field(default_factory=dict)  # what `once` has returned so far
    save: Callable[[dict[str, Any]], None] = lambda kept: None

    def pick(self, quick: T, default: T, full: T | None = None) -> T:
        """The setting of the mode; without one for "full", that is the default's."""
        return {"quick": quick, "default": default, "full": default if full is None else full}[self.mode]

    def once(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        """function(*args), as JSON gives it back; what an interrupted run has got so far is not measured again.

        name: what tells this value from the others of the program in this mode, its seed among it. The value must not
        depend on how many seeds there are.
        """
        if name not in self.kept:
            self.kept[name] = as_plain(function(*args))
            self.save(self.kept)
        return self.kept[name]


@dataclass(frozen=True)
class Lecture:
    """One program of the series."""

    file: str
    doc: str
    measure: Callable[[Run], dict[str, Any]]
    measured: Callable[[dict[str, Any]], str]
    draw: Callable[[Any, dict[str, Any]], None]
    seeds: int = DEFAULT_SEEDS  # of the default mode, where a result depends on one
    size: tuple[float, float] = (10, 4)  # of the figure, in inches

    @cached_property
    def name(self) -> str:
        """Number and name, "04_zero_mean"."""
        return Path(self.file).stem

    @cached_property
    def page(self) -> dict[str, str]:
        """The parts of the docstring."""
        return parts(self.doc)

    def main(self, arguments: list[str] | None = None) -> int:
        """Run it as a program -> its exit code."""
        options = parser(f"{self.page['title']} {self.page['Done']}").parse_args(arguments)
        return exit_code(self.run, options)

    def run(self, options: argparse.Namespace) -> dict[str, Any]:
        """Measure, or take what the folder of results has; draw it, say it -> what is in the file of results.

        SettingError, OSError, DataError: for options, folders and pictures that cannot be used.
        """
        say(f"{self.name.replace('_', ' ')}: {self.page['title']}")
        prepare(options)
        mode = _mode(options)
        stem = self.name if mode == "default" else f"{self.name}.{mode}"  # a quick run replaces no other
        path = options.out / f"{stem}.json"
        settings = self.settings(mode, options.full, options.seeds)
        if results := _found(path, settings, "result", options.again):
            say(f"    measured already, in {path} (--again measures anew)")
        else:
            results = self._measure(path, settings, options)
        if (sentence := self.measured(results["result"])) != results.get("measured"):
            results["measured"] = sentence
            write_json(path, results)
        if mode == "quick":
            say("    on tiny data, which shows that it runs, and nothing else:")
        tell(f"    {sentence}", "    ")
        numbers = {name: rounded(value) for name, value in results["result"].items() if name != "curves"}
        head = {name: results.get(name) for name in ("lecture", "mode", "seeds", "seconds")}
        say(json.dumps(head | numbers))
        self._print_figure(results["result"], path.with_suffix(".png"))
        return results

    def settings(self, mode: str, folder: Path | None = None, seeds: int | None = None) -> dict[str, Any]:
        """What decides about the results, and stands in their file. seeds: None for those of the mode."""
        count = seeds or (1 if mode == "quick" else self.seeds)
        data = str(folder.resolve()) if folder else ""
        made_by = {"program": fingerprint(Path(self.file)), "minicnn": minicnn.__version__}
        return {"lecture": self.name, "mode": mode, "data": data, "seeds": count} | made_by

    def _measure(self, path, settings, options):
        unfinished = path.with_suffix(".unfinished.json")
        shared = {name: value for name, value in settings.items() if name != "seeds"}  # a value knows of its own alone
        started = _found(unfinished, shared, "kept", options.again) or {"kept": {}}
        run = Run(
            mode=settings["mode"],
            folder=options.full,
            seeds=range(settings["seeds"]),
            kept=started["kept"],
            save=lambda kept: write_json(unfinished, shared | {"kept": kept}),
        )
        clock, processor = time.perf_counter(), _processor_seconds()
        try:
            result = as_plain(self.measure(run))
        except BaseException as error:
            if run.kept:
                say(f"    what was measured until then is in {unfinished}, and the next run takes it from there")
            if isinstance(error, WeightsError):
                raise SettingError(str(error)) from error
            raise
        spent = time.perf_counter() - clock, _processor_seconds() - processor
        results = settings | {"machine": f"{os.cpu_count()} x {cpu_name()}"}
        results |= {"seconds": round(spent[0], 1), "processor_seconds": round(spent[1], 1), "result": result}
        write_json(path, results)
        unfinished.unlink(missing_ok=True)
        return results

    def _print_figure(self, result, path):
        import matplotlib  # slow to import, and only needed here
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with matplotlib.rc_context(style.RC):
            figure = Figure(figsize=self.size, layout="constrained")
            self.draw(figure, result)
            with atomic_write(path) as file:
                FigureCanvasAgg(figure).print_png(file)


def parser(description: str) -> argparse.ArgumentParser:
    """The options of every program."""
    parser = argparse.ArgumentParser(description=description)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="tiny data, a few seconds: shows that it runs, nothing else")
    full = "real pictures, and the settings of the paper: which, a program's own --help says"
    size.add_argument("--full", metavar="DIR", type=Path, help=full)
    again = "how often to repeat what depends on a seed (usually 3; --quick: 1)"
    parser.add_argument("--seeds", type=int, metavar="N", help=again)
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"where results and figures go ({OUT})")
    parser.add_argument("--again", action="store_true", help="measure anew what is measured already")
    return parser


def as_plain(value: Any) -> Any:
    """The value as JSON would give it back: NumPy's numbers and arrays are Python's; what is not finite is None."""
    if isinstance(value, dict):
        return {str(name): as_plain(item) for name, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return as_plain(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return [as_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a result is made of numbers, texts, lists and dicts, not of {type(value).__name__}")


def rounded(value: Any) -> Any:
    """Plain values with six digits of each number: what a line shows; the file has them all."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def prepare(options: argparse.Namespace) -> None:
    """Make the folder of results, and try it out. SettingError for options that no program can use."""
    if options.seeds is not None and not 1 <= options.seeds <= MOST_SEEDS:
        raise SettingError(f"--seeds must lie in 1 to {MOST_SEEDS}, not {options.seeds}")
    if options.full is not None and not options.full.is_dir():
        raise SettingError(f"--full {options.full}: there is no such folder")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"--out {options.out} is no folder, and cannot be made: {error.strerror}") from error
    try:  # now, not after minutes of measuring
        with tempfile.TemporaryFile(dir=options.out) as file:
            file.write(bytes(4096))
            sync(file)
    except OSError as error:
        raise SettingError(f"--out {options.out}: nothing can be written there: {error.strerror}") from error


def read(path: Path, settings: dict[str, Any], part: str = "result") -> dict[str, Any] | None:
    """What a file of results holds, if it was made with these settings and has that part; else None."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # there is none, or it is damaged
        return None
    usable = isinstance(found, dict) and settings.items() <= found.items() and isinstance(found.get(part), dict)
    return found if usable else None


def _found(path, settings, part, again):
    if again:
        return None
    found = read(path, settings, part)
    if not found and path.exists():
        say(f"    {path} is damaged, or of other settings or another version of the program, and will be replaced")
    return found


def _mode(options):
    return "quick" if options.quick else "full" if options.full else "default"


def _processor_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
