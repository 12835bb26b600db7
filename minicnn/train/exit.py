"""What a program ends with: an exit code, and the one line that says why."""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .. import calling, console
from ..capture import CaptureError
from ..console import complain, say
from ..data import DataError
from ..device import DeviceError, KernelError
from ..distributed import LaunchError, RanksDiffer, world
from ..distributed.ending import end_together, first_process, marked, traceback_text
from ..envvars import EnvVarError
from ..errors import OutputError, SettingError
from ..runlog import LogError
from ..signals import handling
from ..storage.checkpoint import CheckpointError
from .interrupt import Ended, Interrupted, end
from .trouble import TrainingError

# what cannot be used: pictures, files, folders, arguments, devices, variables of the environment, several processes, a
# step that cannot be captured
UNUSABLE = (
    DataError, CheckpointError, LogError, OutputError, SettingError, DeviceError, EnvVarError, LaunchError, RanksDiffer,
    CaptureError, OSError,
)  # fmt: skip


class _Outcome(NamedTuple):
    """What a program ends with that has raised something."""

    code: int
    text: str | None = None  # the line; None: Python's own words, which it has had (argparse) or is to have (a bug)
    tell: Callable[[str], None] = complain


def exit_code(program: Callable[..., Any], *args: Any) -> int:
    """Call program(*args) and return the exit code that the shell shall see.

    0, or the number that the program returns; 2 for an input or a folder that cannot be used, and 1 for a training that
    broke down, each with one line on stderr; 128 + the signal's number after a signal that asks it to stop, Ctrl-C's
    (130) or SIGTERM (143), with a line that says how to go on.

    Of several processes (mpiexec) rank 0 speaks for all. What one of them alone cannot get over, it says itself, and
    all of them end.
    """
    console.open_descriptors()
    ranks = None
    try:
        with handling(end):
            ranks = world()  # from here on, rank 0 alone says what all have to say
            returned = program(*args)
            return returned if isinstance(returned, int) else 0
    except BaseException as error:
        outcome = _outcome(error)
        if ranks is None or ranks.size == 1 or outcome.code == 0:  # 0: of --help
            if outcome.text is None:
                raise
            if outcome.text and (ranks or first_process()):
                outcome.tell(outcome.text)
            return outcome.code
        text = _of_python(error) if outcome.text is None else outcome.text
        return end_together(ranks, text, outcome.code, outcome.tell, common=marked(error))
    finally:
        console.stdout.flush()  # of --help, too


def _outcome(error):
    if isinstance(error, Interrupted):
        return _Outcome(128 + error.signal, f"stopped; to go on: {resume_command(error.path)}", say)
    if isinstance(error, KeyboardInterrupt):
        return _Outcome(128 + (error.signal if isinstance(error, Ended) else signal.SIGINT), "")
    if isinstance(error, (TrainingError, MemoryError, KernelError)):
        return _Outcome(1, f"error: {str(error) or 'there is no memory left'}")
    if isinstance(error, UNUSABLE):
        return _Outcome(2, f"error: {error}")
    if isinstance(error, SystemExit):
        return _Outcome(error.code if isinstance(error.code, int) else int(error.code is not None))
    return _Outcome(1)


def _of_python(error):
    """What Python, or argparse, would have said on each of several ranks."""
    if not isinstance(error, SystemExit):
        return traceback_text(error)
    return "" if error.code is None or isinstance(error.code, int) else str(error.code)


def resume_command(checkpoint: Path | str) -> str:
    """The command that goes on from a checkpoint, to be pasted into a shell."""
    path = str(checkpoint)
    if path.startswith("-"):  # which would be a flag
        path = os.path.join(os.curdir, path)
    words = [*calling.words(), "--resume", path]
    if (size := world().size) > 1:
        words = ["mpiexec", "-n", str(size), *words]  # on fewer or more, it would go on with other roundings
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
