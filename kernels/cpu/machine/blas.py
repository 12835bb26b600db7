"""``with one_thread:`` BLAS works on one thread, as threads.py has several of its own, and then as it did before.

BLAS's number of threads belongs to the process, not to a thread: the first of several threads that come here sets it
to 1, and the last one that leaves puts back what was found. Whoever calls BLAS elsewhere meanwhile has one thread too.
The libraries are looked for once (threadpoolctl reads all that the process has loaded, some milliseconds); from then on
it is calls of their own functions: 5 us for a block, where ``threadpool_limits`` takes milliseconds each time.
"""

import functools
import os
import threading

from threadpoolctl import ThreadpoolController


class _OneThread:
    def __init__(self):
        self.lock, self.users, self.before = threading.Lock(), 0, ()

    @functools.cached_property
    def libraries(self):
        """What sets the number of threads of each BLAS that is loaded; NumPy's is, at the first call."""
        return ThreadpoolController().select(user_api="blas").lib_controllers

    def __enter__(self):
        with self.lock:
            if self.users == 0:
                self.before = [(library, library.get_num_threads()) for library in self.libraries]
                self._set([(library, 1) for library, count in self.before if count != 1])
            self.users += 1

    def __exit__(self, *error):
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self._set([(library, count) for library, count in self.before if count != 1])

    @staticmethod
    def _set(counts):
        for library, count in counts:
            library.set_num_threads(count)


def _after_fork():
    """A forked process has none of the other threads that were inside a block: nobody is."""
    if one_thread.users:
        one_thread._set(one_thread.before)
    one_thread.lock, one_thread.users = threading.Lock(), 0


one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
