"""How several processes end when something has gone wrong: with one message, with the same exit code, and all of them.

A rank that fails by itself must take the others along, who would wait for it for ever. But most errors meet all ranks
at once (a wrong argument, a folder that is not there), and then n messages would say the same. So a rank that fails
asks who else does, and waits a moment for answers: if all ranks do, rank 0 speaks for them and each ends on its own;
if not, the lowest of those that failed says which rank it is, and ends the job.
"""

import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from ..console import complain, report
from .launch import Launch, launch
from .ranks import World
from .start import LaunchError

MOMENT = 1.5  # seconds in which ranks that fail of one cause have all noticed
LONGER = 10  # where it is known that all will
MESSAGES = 4  # so many different ones are shown of ranks that fail each in its way
E = TypeVar("E", bound=Exception)


def end_together(
    world: World, text: str, code: int, tell: Callable[[str], None] = complain, common: bool = False
) -> int:
    """This rank has failed, for the reason that `text` gives ("" where nothing is to be said), with this exit code.

    Returns the exit code of all ranks if all of them have failed, after rank 0 has told why; otherwise the job ends
    here. tell: how rank 0 says its text. common: all ranks are known to fail with this error."""
    try:
        failed = world.meet((text, code), LONGER if common else MOMENT)
        if len(failed) == world.size:
            if world.is_main and common:
                tell(text)
            elif world.is_main:
                _tell_all(world, failed, tell)
            return max(code for _, code in failed.values())
        if world.rank == min(failed):
            if text or code < 128:  # after Ctrl-C there is nothing to say
                report(
                    f"error: {named(world)}: {text.removeprefix('error: ') or f'it has ended with exit code {code}'}"
                )
        else:
            time.sleep(1)  # for that rank to speak; it ends this process, too
        world.abort(code or 1)
    except BaseException:  # Ctrl-C once more
        world.abort(code or 1)
        raise
    return code


def _tell_all(world, failed, tell):
    ranks: dict[str, list[int]] = {}
    for rank, (text, _) in failed.items():
        ranks.setdefault(text, []).append(rank)
    if len(ranks) == 1:
        if "" not in ranks:
            tell(next(iter(ranks)))
        return
    for text, those in list(ranks.items())[:MESSAGES]:
        if text:
            complain(f"error: {listed(those)} of {world.size}: {text.removeprefix('error: ')}")


def first_process() -> bool:
    """Whether this process speaks where those that were started together cannot find each other: the first on its
    machine does, for another machine may lack nothing."""
    started = launch()
    first = started is None or started.local_rank == 0
    if not first:
        time.sleep(1)  # Open MPI's mpiexec ends all as soon as one has ended, also the one that is about to speak
    return first


def show_refusal(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ``sys.excepthook`` is to be after a LaunchError: one line instead of as many tracebacks as processes."""
    if not isinstance(error, LaunchError):
        sys.__excepthook__(kind, error, trace)
    elif first_process():
        complain(f"error: {error}")


def end_by_signal(started: Launch) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """What ``sys.excepthook`` is to be before MPI is begun: the others may wait in its beginning for this process. An
    mpiexec ends them all when one of them is ended by a signal, which an exit code does not make it do."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):  # which mpiexec has had, too
            sys.__excepthook__(kind, error, trace)
            return
        time.sleep(0.3 * min(started.rank, 5))  # a lower one that fails alike speaks first, and that ends this one
        report(f"error: rank {started.rank} of {started.size} (host {platform.node()}): {traceback_text(error)}")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGTERM)

    return hook


def end_by_traceback(
    world: World,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """What ``sys.excepthook`` is to be on several ranks: the exception that nobody has caught is shown, once, and all
    ranks end."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "" if issubclass(kind, KeyboardInterrupt) else traceback_text(error)
        end_together(world, text, 130 if issubclass(kind, KeyboardInterrupt) else 1, common=marked(error))

    return hook


def traceback_text(error: BaseException) -> str:
    """What Python shows of an exception that nobody has caught."""
    return "".join(traceback.format_exception(error)).rstrip()


def on_all_ranks(error: E) -> E:
    """The error itself, marked as one that every rank raises: one of them is enough to tell it."""
    error.on_all_ranks = True  # type: ignore[attr-defined]
    return error


def marked(error: BaseException) -> bool:
    """Whether ``on_all_ranks`` has marked it, or its class is."""
    return getattr(error, "on_all_ranks", False)


def named(world: World) -> str:
    """Which process this is: "rank 2 of 4 (host n017)"."""
    return f"rank {world.rank} of {world.size} (host {platform.node()})"


def listed(ranks: Any) -> str:
    """Numbers of ranks as text: "rank 3", "ranks 0 and 3", "ranks 1, 2, 5 and 7 others"."""
    ranks = list(ranks)
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    if len(ranks) > 8:
        return f"ranks {', '.join(map(str, ranks[:7]))} and {len(ranks) - 7} others"
    return f"ranks {', '.join(map(str, ranks[:-1]))} and {ranks[-1]}"
