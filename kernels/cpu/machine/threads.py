"""A small pool of Python threads that divide an op's images, rows or tiles among them.

Each chunk of work spends its time in a compiled function or in BLAS, both of which release the interpreter's lock, so
Python threads really run side by side. Between ops they sleep, while the cores stay awake (awake.py). Work that is one
compiled function needs no Python in the other threads, and is begun there sooner (team.py). BLAS's own threads would
fight with these for the cores: the one file here that calls BLAS, linear.py, has it run one thread in each of its calls
(blas.py).

What a chunk holds depends on the sizes and the number of threads only, and partial sums are added in the order of the
chunks: results repeat bit for bit for a given number of threads, whichever thread took which chunk.
"""

import functools
import os
import queue
import threading

from minicnn import envvars

from . import awake, cores, team

MOST = 4096  # threads; more are a slip of the pen
LEAST = 1 << 17  # elements that a chunk of element-wise work should have, as waking a thread takes its time too


def threads():
    """How many threads work at once: the cores this process may use, $MINICNN_THREADS, or what set_threads said.

    A container that may use the time of 2 cores has 2, however many it sees; the processes of an mpiexec share what
    there is. EnvVarError if $MINICNN_THREADS is none.
    """
    return _pool.size


def set_threads(count):
    """Use `count` threads from now on."""
    if not hasattr(count, "__index__") or not 1 <= count <= MOST:
        raise ValueError(f"set_threads: the number of threads must be a whole number from 1 to {MOST}, got {count!r}")
    global _pool
    _pool.close()
    _pool = _Pool(int(count))


def chunks(n, least=1):
    """Cut range(n) into [(start, stop), ...]: equal ones, at most one for each thread, each of `least` or more.

    None of them is empty: n = 0 gives [].
    """
    count = min(threads(), max(1, n // max(1, least))) if n else 0
    return [(i * n // count, (i + 1) * n // count) for i in range(count)]


def run(work, count):
    """Call ``work(i)`` for each i in range(count), several at once; returns when all are done.

    If some fail, or Ctrl-C comes in between, no new ones are begun, and when those under way are done the exception of
    the lowest i is raised, or KeyboardInterrupt. A `run` inside `work` keeps to its own thread.
    """
    if count <= 1 or threads() == 1 or _inside.active:  # nothing to divide, or no thread is free
        for i in range(count):
            work(i)
    else:
        _pool.run(work, count)


def run_chunks(work, n, least=1):
    """``work(start, stop)`` for each of ``chunks(n, least)``."""
    limits = chunks(n, least)
    run(lambda i: work(*limits[i]), len(limits))


def run_compiled(work, *arguments):
    """``work(boxes, *arguments)``: a compiled function whose stages (team.py) the workers of these boxes help with.

    It returns a number, as this function does: 0, or bits of its own from 2 on. MemoryError for the bit 1: one of the
    stages found no memory. Where there is no such help, it does all by itself.
    """
    alone = _pool.size == 1 or _inside.active
    status = work(team.NOBODY, *arguments) if alone else _pool.run_compiled(work, arguments)
    if status & 1:
        raise MemoryError("no memory is left for a thread's part of an op")
    return status


class _Inside(threading.local):
    active = False  # whether this thread is at work on a chunk


_inside = _Inside()


class _Job:
    """`count` chunks that any thread may take, lowest first; `helpers` threads beside the calling one will come."""

    def __init__(self, work, count, helpers):
        self.work, self.count, self.helpers = work, count, helpers
        self.taken, self.errors = 0, {}  # chunks begun; {chunk: exception}
        self.lock, self.left = threading.Lock(), threading.Event()  # left: when no helper is at work any more
        if helpers == 0:
            self.left.set()

    def help(self):
        _inside.active = True
        try:
            while (i := self._take()) is not None:
                try:
                    self.work(i)
                except BaseException as error:
                    self.errors[i] = error
        finally:
            _inside.active = False

    def leave(self):
        with self.lock:
            self.helpers -= 1
            if self.helpers == 0:
                self.left.set()

    def _take(self):
        with self.lock:
            if self.taken == self.count or self.errors:  # none left, or one has failed
                return None
            self.taken += 1
            return self.taken - 1


_END = object()  # what a pool that is closed puts into the queue, once for each worker


class _Pool:
    """The calling thread and size - 1 others, which are started when they are first needed."""

    def __init__(self, size=None):
        self.workers, self.keepers = 0, None
        if size is not None:
            self.size = size
        self.jobs = queue.SimpleQueue()  # a job is in it once for each helper
        self.boxes = team.NOBODY  # each worker's
        self.lock, self.compiled = threading.Lock(), threading.Lock()  # compiled: held while the boxes are in use

    @functools.cached_property
    def size(self):
        return _available()  # not before it is asked for: whoever imports this need not run any op

    def run(self, work, count):
        with self.lock:  # a close() from another thread comes before or after
            self._start()
        with self.keepers:
            self._share_out(work, count)

    def run_compiled(self, work, arguments):
        if not self.compiled.acquire(blocking=False):  # another thread's op has the workers
            return work(team.NOBODY, *arguments)
        try:
            if self.workers < self.size - 1:
                with self.lock:
                    self._start()
            boxes = self.boxes[: self.workers] if self.workers < len(self.boxes) else self.boxes
            with self.keepers:
                return work(boxes, *arguments)
        finally:
            self.compiled.release()

    def _share_out(self, work, count):
        with self.lock:
            helpers = min(self.workers, count - 1)
            job = _Job(work, count, helpers)
            for i in range(helpers):
                self.jobs.put(job)
                self._call(i)
        try:
            job.help()  # the calling thread takes chunks too
        except BaseException as interrupt:  # between two chunks
            job.errors[-1] = interrupt
        while not job.left.is_set():  # nobody may go on while a helper still writes to the op's arrays
            try:
                job.left.wait()
            except BaseException as interrupt:
                job.errors[-1] = interrupt
        if job.errors:
            raise job.errors.pop(min(job.errors))  # not kept in the job: its traceback refers to the job

    def close(self):
        with self.lock:
            for _ in range(self.workers):
                self.jobs.put(_END)  # a worker that takes it ends
            for i in range(self.workers):  # behind all of them: whoever comes finds one, if a busy worker took another
                self._call(i)
            self.size, self.workers, self.boxes = 1, 0, team.NOBODY  # whoever still comes works alone

    def _start(self):
        if self.keepers is None:
            self.keepers = awake.keepers(self.size)
        if self.workers < self.size - 1 and team.POSSIBLE and not len(self.boxes):
            self.boxes = team.new_boxes(self.size - 1)
        while self.workers < self.size - 1:
            box = self.boxes[self.workers] if len(self.boxes) else None  # None: it waits for jobs alone
            try:
                threading.Thread(target=self._serve, args=(box,), name="minicnn", daemon=True).start()
            except RuntimeError:  # the system lets this process have no more: those there are do all the work
                break
            self.workers += 1

    def _call(self, i):
        """Have worker i look at the queue."""
        if len(self.boxes):
            team.call_python(self.boxes[i])

    def _serve(self, box):
        """A worker's life."""
        calls = 0  # of this worker, that it has seen
        while (job := self.jobs.get() if box is None else _next(self.jobs)) is not _END:
            if job is None:
                calls = team.stand_by(box, calls)  # until there is a job of Python's; all put before are taken
                continue
            job.help()
            job.leave()
            del job  # what the chunks hold must not wait here for the next job
        if box is not None:
            with self.lock, self.compiled:  # nobody is about to wake this one by its pipe
                team.close(box)


def _next(jobs):
    """The job that was put into the queue first; None if there is none."""
    try:
        return jobs.get_nowait()
    except queue.Empty:
        return None


def _available():
    return envvars.whole("MINICNN_THREADS", MOST) or cores.share()


def _after_fork():
    """A forked process has only the thread that forked: it starts a pool of its own."""
    global _pool
    awake.forget()
    for box in _pool.boxes:
        team.close(box)
    _pool = _Pool(vars(_pool).get("size"))


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
