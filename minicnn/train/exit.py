"""What a program ends with: an exit code, and the one line that says why."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import console
from ..console import complain, say
from ..data import DataError
from ..device import DeviceError, KernelError
from ..envvars import EnvVarError
from ..errors import OutputError, SettingError
from ..runlog import LogError
from ..storage.checkpoint import CheckpointError
from .interrupt import Ended, Interrupted, end, handling
from .trouble import TrainingError

# what cannot be used: pictures, files, folders, arguments, devices, variables of the environment
UNUSABLE = (DataError, CheckpointError, LogError, OutputError, SettingError, DeviceError, EnvVarError, OSError)


def exit_code(program: Callable[..., Any], *args: Any) -> int:
    """Call program(*args) and return the exit code that the shell shall see.

    0, or the number that the program returns; 2 for an input or a folder that cannot be used, and 1 for a training that
    broke down, each with one line on stderr; 128 + the signal's number after a signal that asks it to stop, Ctrl-C's
    (130) or SIGTERM (143), with a line that says how to go on.
    """
    console.open_descriptors()
    try:
        with handling(end):
            returned = program(*args)
            return returned if isinstance(returned, int) else 0
    except Interrupted as stop:
        say(f"stopped; to go on: {resume_command(stop.path)}")
        return 128 + stop.signal
    except KeyboardInterrupt as stop:
        return 128 + (stop.signal if isinstance(stop, Ended) else signal.SIGINT)
    except (TrainingError, MemoryError, KernelError) as error:
        complain(f"error: {str(error) or 'there is no memory left'}")
        return 1
    except UNUSABLE as error:
        complain(f"error: {error}")
        return 2
    finally:
        console.stdout.flush()  # of --help, too


def resume_command(checkpoint: Path | str) -> str:
    """The command that goes on from a checkpoint, to be pasted into a shell."""
    path = str(checkpoint)
    if path.startswith("-"):  # which would be a flag
        path = os.path.join(os.curdir, path)
    words = ["python", sys.argv[0], "--resume", path]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
