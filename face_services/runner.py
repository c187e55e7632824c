"""A bounded number of engines, each in its own process, and a bounded queue of requests.

Processes, because an engine holds Python's lock for much of its work: an embedding for 75 ms. In threads of one process
a second engine gains little, and whatever else the process does waits.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.queues import SimpleQueue
from typing import Concatenate, ParamSpec, TypeVar

from flask import current_app

from face_services.engine import Engine
from face_services.errors import Busy, EngineDied, ServiceError

EXTENSION = "face_services.runner"

_log = logging.getLogger(__name__)
_Asked = ParamSpec("_Asked")
_Result = TypeVar("_Result")
MakeEngine = Callable[[], Engine]
MakePool = Callable[[MakeEngine, int], Executor]

_PIPE_BYTES = 2**20
"""Maximum for unprivileged processes; the default is 64 KiB."""


def process_pool(make_engine: MakeEngine, engines: int) -> Executor:
    """Creates an executor with a process per engine; these end with the process that created it, however that ends.

    They are forked from a server that has imported the engine and has no threads: quick to make, and with their
    libraries in memory once. If there is one for each processor, each has its own: left to the system, two of them
    share one now and then while the other idles.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["face_services.app", "face_services.opencv_engine"])
    processors = context.SimpleQueue()
    usable = _processors()
    for processor in usable if len(usable) == engines else ():
        processors.put(processor)
    pool = ProcessPoolExecutor(engines, context, initializer=_settle, initargs=(make_engine, processors))
    _widen(pool)
    return pool


def _processors() -> set[int]:
    """Processors that this process may use; empty if the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _settle(make_engine: MakeEngine, processors: "SimpleQueue[int]") -> None:
    """Initialise a process of the pool, on its own processor if one is left."""
    if not processors.empty():
        os.sched_setaffinity(0, {processors.get()})  # before the engine starts threads, which inherit it
    equip(make_engine)


def _widen(pool: ProcessPoolExecutor) -> None:
    """Enlarge the pool's pipe to hold whole pictures.

    In a narrow one the last bytes of the next job wait until an engine is free and reads, and then the engine waits
    for them: a fiftieth of its time, measured. The executor has no setting for it.
    """
    queue = getattr(pool, "_call_queue", None)
    if queue is not None and hasattr(fcntl, "F_SETPIPE_SZ"):  # on Linux only
        with suppress(OSError):  # over the user's pipe limit: just slower
            fcntl.fcntl(queue._writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # noqa: SLF001


class EngineRunner:
    """Runs jobs on engines.

    Args:
        make_engine: makes an engine; called in the process, and the thread, that will use it.
        engines: how many jobs run at once.
        queue: how many more requests may hold a place.
        make_pool: makes the executor whose workers begin with `equip`.
    """

    def __init__(self, make_engine: MakeEngine, engines: int, queue: int, make_pool: MakePool = process_pool) -> None:
        self._make = lambda: make_pool(make_engine, engines)
        self._engines = engines
        self._places = threading.BoundedSemaphore(engines + queue)
        self._lock = threading.Lock()
        self._pool = self._make()

    def warm_up(self) -> None:
        """Creates the engines in the background."""
        for _ in range(self._engines):
            self._pool.submit(_ready).add_done_callback(_note_failure)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a slot of the queue, taken before a body is read, so that the memory of waiting requests is bounded.

        Raises:
            Busy: all slots are taken.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._places.release()

    def run(
        self, job: Callable[Concatenate[Engine, _Asked], _Result], *args: _Asked.args, **kwargs: _Asked.kwargs
    ) -> _Result:
        """Runs a job on the next free engine and returns what it returns, or raises what it raises.

        Args:
            job: a module's function; it, its arguments and its result go from process to process.
            args: what it gets after the engine.
            kwargs: the same by name.

        Raises:
            EngineDied: a process of the pool was killed, or crashed; the next job gets a new pool.
        """
        pool = self._pool
        try:
            return pool.submit(_on_engine, job, *args, **kwargs).result()
        except BrokenExecutor:
            self._replace(pool)
            raise EngineDied from None

    def _replace(self, broken: Executor) -> None:
        """Replace a broken pool, once for all the jobs that saw it break."""
        with self._lock:
            if self._pool is broken:
                _log.error("an engine's process ended unexpectedly; all are made anew")
                broken.shutdown(wait=False)
                self._pool = self._make()


class _Worker(threading.local):
    """The engine of this process, or of this thread in a pool of threads."""

    make: MakeEngine
    engine: Engine | None = None


_worker = _Worker()


def equip(make_engine: MakeEngine) -> None:
    """Initialise a worker of the pool: create its engine; if that fails, each job retries."""
    if (parent := parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _worker.make = make_engine
    try:
        _worker.engine = make_engine()
    except Exception:  # noqa: BLE001 - a pool whose worker fails to begin is broken for good
        _log.exception("engine not made")


def _end_with(parent: object) -> None:
    """Exit with the parent: otherwise a worker would wait for work forever after its parent was killed."""
    parent.join()  # type: ignore[attr-defined]  # multiprocessing has no public name for what parent_process() returns
    os._exit(1)


def _ready() -> None:
    """No-op job, to see that a worker has its engine."""


def _on_engine(
    job: Callable[Concatenate[Engine, _Asked], _Result], *args: _Asked.args, **kwargs: _Asked.kwargs
) -> _Result:
    engine = _worker.engine
    if engine is None:
        engine = _worker.engine = _worker.make()
    try:
        return job(engine, *args, **kwargs)
    except ServiceError:
        raise
    except Exception:
        # A native graph that failed once may keep failing: the next job gets a new engine.
        _worker.engine = None
        raise


def _note_failure(warmed: Future[None]) -> None:
    if not warmed.cancelled() and (error := warmed.exception()):
        _log.error("engine not made", exc_info=error)


def current_runner() -> EngineRunner:
    """The application's runner; only inside a request."""
    runner: EngineRunner = current_app.extensions[EXTENSION]
    return runner
