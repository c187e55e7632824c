"""What a stack and its databases use while something runs: CPU, memory by process, disk."""

from collections import defaultdict
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

import psutil
from sqlalchemy import create_engine, text

from face_import.stack import supervisor
from tests.real import RealStack

_EVERY_S = 0.5


def cpu_s(stack: RealStack) -> float:
    """CPU seconds of a stack so far: its processes', and those of their children that have ended."""
    total = 0.0
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(stack: RealStack) -> dict[str, float]:
    """Memory of each program of a stack with its children, in MB; pages that processes share are divided among them."""
    found: dict[str, float] = {}
    for name, state in sorted((supervisor.states(stack.layout) or {}).items()):
        with suppress(psutil.NoSuchProcess):
            program = psutil.Process(state.pid)
            its = [program, *program.children(recursive=True)]
            found[name] = sum(process.memory_full_info().pss for process in its) / 2**20
    return found


def database_bytes(url: str) -> int:
    """Size of a PostgreSQL database on disk, with its indexes."""
    engine = create_engine(url)
    with engine.connect() as connection:
        size = int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    engine.dispose()
    return size


class Backends:
    """CPU seconds of PostgreSQL's processes for some databases, within the block; seen every half second.

    What a connection uses after it was seen last is missing. The server's own writers are not counted.

    Args:
        databases: their names.
    """

    def __init__(self, *databases: str) -> None:
        self._databases = databases
        self._used: dict[tuple[int, float], float] = defaultdict(float)
        self._before: dict[tuple[int, float], float] = {}
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._look()
        self._before = dict(self._used)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    @property
    def cpu_s(self) -> float:
        """Seconds so far."""
        return sum(used - self._before.get(key, 0.0) for key, used in self._used.items())

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        for process in psutil.process_iter(["name", "cmdline"]):
            title = " ".join(process.info["cmdline"] or [])
            if title.startswith("postgres:") and any(f" {name} " in title for name in self._databases):
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    self._used[process.pid, process.create_time()] = times.user + times.system
