"""Items fetched ahead of their use, by threads: while a batch is trained on, the next ones are decoded.

Threads are enough: Pillow gives up the interpreter's lock while it decodes and resizes, and so does NumPy in most of
what it computes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..types import Array
from .errors import DataError


def fetch_now(fetch: Callable[[int], Any], batches: Sequence[Array]) -> Iterator[list[Any]]:
    """[fetch(index), ...] of each batch of indices, when it is asked for."""
    for batch in batches:
        yield [fetch(int(index)) for index in batch]


def fetch_ahead(
    fetch: Callable[[int], Any], batches: Sequence[Array], num_workers: int, prefetch: int
) -> Iterator[list[Any]]:
    """The same, in the same order, with `prefetch` batches ahead. Closing the iterator stops the threads."""
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="minicnn-loader")
    ahead: deque[list[Any]] = deque()  # a list of futures per batch, in order
    process = os.getpid()
    try:
        for batch in batches:
            ahead.append(_submit(pool, fetch, batch, num_workers))
            if len(ahead) > prefetch:
                yield _results(ahead.popleft(), process)
        while ahead:
            yield _results(ahead.popleft(), process)
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool, fetch, batch, num_workers):
    try:
        return [pool.submit(fetch, int(index)) for index in batch]
    except RuntimeError as error:  # the system refuses another thread
        raise DataError(f"DataLoader: {error}; fewer than {num_workers} workers may do") from error


def _results(futures, process):
    if os.getpid() != process:
        raise RuntimeError(
            "DataLoader: this epoch was begun before the process forked, and its threads are the other process's; "
            "begin it here, or give num_workers=0"
        )
    return [future.result() for future in futures]
