"""What all ranks must have in common, compared; where they differ, one error says which ranks, and in what."""

import zlib
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from .ranks import World

ADVICE = "start every rank with the same program and the same settings"
E = TypeVar("E", bound=Exception)


class RanksDiffer(RuntimeError):
    """The ranks do not agree about something. Each of them raises it, with the same text."""

    on_all_ranks = True


def on_all_ranks(error: E) -> E:
    """The error itself, marked as one that every rank raises: one of them is enough to tell it."""
    error.on_all_ranks = True  # type: ignore[attr-defined]
    return error


def agree(what: str, values: Mapping[str, Any], world: World, advice: str = ADVICE) -> None:
    """RanksDiffer unless every rank has the same `values`, {name: plain value}, of `what`: a word for the message.

    Rank 0's are what the others are compared with; the message names the first that differs, and ends in `advice`.
    Where all is well only a checksum travels, of four bytes: ops ask each time.
    """
    checksums = world.gather(np.array(zlib.crc32(repr(values).encode()), np.uint32))
    if (checksums == checksums[0]).all():
        return
    first = world.share(dict(values))
    differs = next((name for name in [*first, *values] if first.get(name) != values.get(name)), None)
    name = next((name for name in world.gather_values(differs) if name is not None), None)
    if name is None:
        return
    have = [mapping.get(name, "nothing") for mapping in world.gather_values(dict(values))]
    ranks = [rank for rank, value in enumerate(have) if value != have[0]]
    who = f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks[:8]))}{', ...' if len(ranks) > 8 else ''}"
    raise RanksDiffer(
        f"{what} is not the same on all ranks: {name} is {have[ranks[0]]} on {who}, {have[0]} on rank 0; {advice}"
    )
