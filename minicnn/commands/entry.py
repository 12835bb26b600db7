"""minicnn COMMAND ...: which command it is; the rest of the line is the command's."""

import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import __version__
from ..calling import called_as
from ..console import say
from ..errors import SettingError
from ..report import __main__ as report
from ..train import exit_code
from . import check, classify, evaluate, export, summary, train


class Command(NamedTuple):
    """A word behind ``minicnn``."""

    run: Callable[[Sequence[str]], Any]  # takes what follows the word; what it returns is what ``exit_code`` takes
    what: str  # it does, in a line


COMMANDS = {
    "train": Command(train.main, "train a network on folders of pictures, go on with a run, test a checkpoint"),
    "evaluate": Command(evaluate.main, "test published weights, or a file of weights, on a folder of pictures"),
    "classify": Command(classify.main, "name what is on pictures"),
    "export": Command(export.main, "write a network for other programs: .onnx, .safetensors, .pth"),
    "report": Command(report.main, "make the report.html of a run again"),
    "summary": Command(summary.main, "the table of a network's layers"),
    "check": Command(check.main, "what minicnn runs on here, and whether it works"),
}
HELP = f"""minicnn COMMAND ...

{chr(10).join(f"  {name:10}{command.what}" for name, command in COMMANDS.items())}

minicnn COMMAND --help says more of one; minicnn --version which minicnn it is.
For example, on pictures in DIR/train/<class>/* and DIR/val/<class>/*:
  minicnn train DIR --arch resnet18 --epochs 10
  minicnn classify photo.jpg --weights runs/resnet18-DIR-1/checkpoint_best.npz"""


def main(argv: Sequence[str] | None = None, called: Sequence[str] = ("minicnn",)) -> int:
    """Do what the command line (None: the process's) says; the exit code, as ``train.exit_code`` has it.

    called: what was typed before it, which messages repeat.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    with called_as(*called, *[word for word in words[:1] if word in COMMANDS]):
        return exit_code(_command, words)


def _command(words):
    if not words or words[0] in ("-h", "--help", "help"):
        say(HELP)
        return 0 if words else 2
    if words[0] == "--version":
        say(f"minicnn {__version__}")
        return 0
    name, *rest = words
    if name in COMMANDS:
        return COMMANDS[name].run(rest)
    near = difflib.get_close_matches(name, COMMANDS, 1)
    meant = f"; did you mean {near[0]}?" if near else "; there are " + ", ".join(COMMANDS)
    raise SettingError(f"minicnn has no command {name!r:.60}{meant}")
