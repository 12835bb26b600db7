"""``with one_thread:`` BLAS works on one thread, as threads.py has several of its own, and then as it did before.

BLAS's number of threads belongs to the process, not to a thread: the first of several threads that come here sets it
to 1, and the last one that leaves puts back what was found. Whoever calls BLAS elsewhere meanwhile has one thread too.
The libraries are looked for once (threadpoolctl reads all that the process has loaded, some milliseconds); from then on
it is calls of their own functions: 1 us for a block, where ``threadpool_limits`` takes milliseconds each time.
"""

import functools
import itertools
import os
import threading

from threadpoolctl import ThreadpoolController


class _OneThread:
    def __init__(self):
        self.lock, self.users, self.before = threading.Lock(), 0, ()

    @functools.cached_property
    def libraries(self):
        """(get, set), the two functions of each BLAS that is loaded; NumPy's is, at the first call."""
        return [_functions(library) for library in ThreadpoolController().select(user_api="blas").lib_controllers]

    def __enter__(self):
        with self.lock:
            if self.users == 0:
                self.before = [(set_, get()) for get, set_ in self.libraries]
                for set_, count in self.before:
                    if count != 1:
                        set_(1)
            self.users += 1

    def __exit__(self, *error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.restore()

    def restore(self):
        for set_, count in self.before:
            if count != 1:
                set_(count)


def _functions(library):
    """OpenBLAS's own, under one of the names that it goes by; threadpoolctl's for any other library.

    threadpoolctl looks the names up at each call, and lets one thread alone set OpenBLAS's number, the first that did.
    """
    if library.internal_api == "openblas" and library.threading_layer == "pthreads":
        for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
            names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if all(hasattr(library.dynlib, name) for name in names):
                return tuple(getattr(library.dynlib, name) for name in names)
    return library.get_num_threads, library.set_num_threads


def _after_fork():
    """A forked process has none of the other threads that were inside a block: nobody is."""
    if one_thread.users:
        one_thread.restore()
    one_thread.lock, one_thread.users = threading.Lock(), 0


one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
