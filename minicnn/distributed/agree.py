"""What all ranks must have in common, compared; where they differ, one error says which ranks, and in what."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .ending import listed
from .ranks import World

ADVICE = "start every rank with the same program and the same settings"
SHOWN = 3  # values that differ from rank 0's


class RanksDiffer(RuntimeError):
    """The ranks do not agree about something. Each of them raises it, with the same text."""

    on_all_ranks = True


def agree(what: str, values: Mapping[str, Any], world: World, advice: str = ADVICE) -> None:
    """RanksDiffer unless every rank has the same `values`, {name: plain value}, of `what`: a word for the message.

    Rank 0's are what the others are compared with; the message names the first that differs, and ends in `advice`.
    Where all is well only a checksum travels, of four bytes: ops ask each time.
    """
    checksums = world.gather(np.array(zlib.crc32(repr(values).encode()), np.uint32))
    if (checksums == checksums[0]).all():
        return
    texts = {name: repr(value) for name, value in values.items()}  # to be compared: NaN is not equal to itself
    first = world.share(texts)
    differs = next((name for name in [*first, *texts] if first.get(name) != texts.get(name)), None)
    name = next((name for name in world.gather_values(differs) if name is not None), None)
    if name is None:  # the same, in another order
        return
    ranks: dict[tuple[str, str], list[int]] = {}  # those that have a value
    have = world.gather_values((texts.get(name, ""), str(values[name]) if name in values else "nothing"))
    for rank, value in enumerate(have):
        ranks.setdefault(value, []).append(rank)
    alike = len({short for _, short in ranks}) < len(ranks)  # a text "1" and a number 1: their repr tells them apart
    shown = {value: value[0] if alike else value[1] for value in ranks}
    others = [f"{shown[value]} on {listed(those)}" for value, those in ranks.items() if value != have[0]]
    more = f", and {len(others) - SHOWN} other values" if len(others) > SHOWN else ""
    values_shown = f"{', '.join(others[:SHOWN])}{more}, {shown[have[0]]} on rank 0"
    raise RanksDiffer(f"{what} is not the same on all ranks: {name} is {values_shown}; {advice}")
