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
import hashlib
import json
import math
import os
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
from minicnn.storage.files import atomic_write, write_json
from minicnn.train import exit_code
from minicnn.train.environment import cpu_name

from . import style
from .page import parts

T = TypeVar("T")
DEFAULT_SEEDS = 3
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

        name: what tells this value from the others of the program.
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
        options = parser(self.page["title"]).parse_args(arguments)
        return exit_code(self.run, options)

    def run(self, options: argparse.Namespace) -> dict[str, Any] | None:
        """Measure, or take what the folder of results has; draw it, say it -> what is in the file of results.

        SettingError, OSError, DataError: for options, folders and pictures that cannot be used.
        """
        say(f"{self.name.replace('_', ' ')}: {self.page['title']}")
        options.out.mkdir(parents=True, exist_ok=True)
        results = self._results(options)
        self._print_figure(results["result"], options.out / f"{self.name}.png")
        tell(f"    {results['measured']}", "    ")
        numbers = {name: _rounded(value) for name, value in results["result"].items() if name != "curves"}
        head = {name: results[name] for name in ("lecture", "mode", "seeds", "seconds")}
        say(json.dumps(head | numbers))
        return results

    def _results(self, options):
        path, unfinished = (options.out / f"{self.name}{ending}" for ending in (".json", ".unfinished.json"))
        mode, folder, seeds = _mode(options, self.seeds)
        settings = {"lecture": self.name, "mode": mode, "data": str(folder or ""), "seeds": len(seeds)}
        settings["program"] = self._fingerprint()
        if (found := _read(path, settings, options.again)) and "result" in found:
            say(f"    measured already, in {path} (--again measures anew)")
            return found
        started = _read(unfinished, settings, options.again) or {}
        kept = started.get("kept", {})
        run = Run(mode, folder, seeds, kept, lambda kept: write_json(unfinished, settings | {"kept": kept}))
        clock, processor = time.perf_counter(), _processor_seconds()
        result = as_plain(self.measure(run))
        spent = time.perf_counter() - clock, _processor_seconds() - processor
        results = settings | {"minicnn": minicnn.__version__, "machine": f"{os.cpu_count()} x {cpu_name()}"}
        results |= {"seconds": round(spent[0], 1), "processor_seconds": round(spent[1], 1)}
        results |= {"measured": self.measured(result), "result": result}
        write_json(path, results)
        unfinished.unlink(missing_ok=True)
        return results

    def _fingerprint(self):
        """Of the program without its docstring: another program does not get these results."""
        source = Path(self.file).read_text(encoding="utf-8").replace(self.doc, "")
        return hashlib.sha256(source.encode()).hexdigest()[:16]

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
    size.add_argument(
        "--full", metavar="DIR", type=Path, help="real pictures, and the settings of the paper (see above)"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="how often to repeat what depends on a seed")
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


def _mode(options, seeds):
    if options.seeds is not None and options.seeds < 1:
        raise SettingError(f"--seeds must be at least 1, not {options.seeds}")
    if options.full is not None and not options.full.is_dir():
        raise SettingError(f"--full {options.full}: there is no such folder")
    mode = "quick" if options.quick else "full" if options.full else "default"
    return mode, options.full, range(options.seeds or (1 if mode == "quick" else seeds))


def _read(path, settings, again):
    """What a file of results holds, if it was made with these settings; else None."""
    if again or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and settings.items() <= found.items() else None
    except ValueError:  # it is damaged
        say(f"    {path} cannot be read, and is measured anew")
        return None


def _rounded(value):
    """Numbers with the six digits that a line shows; the file has them all."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _processor_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
