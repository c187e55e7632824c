"""A bounded number of engine threads, and a bounded number of requests waiting for them."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from flask import current_app

from face_services.engine import Engine
from face_services.errors import Busy, ServiceError

EXTENSION = "face_services.runner"

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class EngineRunner:
    """Runs jobs on engines. Every engine is made, used and dropped by one thread of its own.

    Args:
        make_engine: makes an engine; called in the thread that will use it, before that thread's first job.
        threads: how many jobs run at once.
        queue: how many more requests may hold a place.
    """

    def __init__(self, make_engine: Callable[[], Engine], threads: int, queue: int) -> None:
        self._make_engine = make_engine
        self._threads = threads
        self._places = threading.BoundedSemaphore(threads + queue)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="engine")
        self._mine = threading.local()

    def warm_up(self) -> None:
        """Has every thread make its engine now, in the background; one that fails is tried again by a job."""
        for _ in range(self._threads):
            self._executor.submit(self._on_engine, lambda _engine: None).add_done_callback(_note_failure)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds one of the places in the queue; taken before a body is read, so waiting memory is bounded too.

        Raises:
            Busy: all places are taken.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._places.release()

    def run(self, job: Callable[[Engine], _Result]) -> _Result:
        """Runs a job on the next free engine and returns what it returns, or raises what it raises."""
        return self._executor.submit(self._on_engine, job).result()

    def _on_engine(self, job: Callable[[Engine], _Result]) -> _Result:
        engine: Engine | None = getattr(self._mine, "engine", None)
        if engine is None:
            engine = self._mine.engine = self._make_engine()
            _log.info("engine made thread=%s", threading.current_thread().name)
        try:
            return job(engine)
        except ServiceError:
            raise
        except Exception:
            # A native graph that failed once may fail for ever: the next job gets a new engine.
            self._mine.engine = None
            raise


def _note_failure(warmed: Future[None]) -> None:
    if not warmed.cancelled() and (error := warmed.exception()):
        _log.error("engine not made", exc_info=error)


def current_runner() -> EngineRunner:
    """The application's runner; only inside a request."""
    runner: EngineRunner = current_app.extensions[EXTENSION]
    return runner
