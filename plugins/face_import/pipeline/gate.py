"""The gate: when the next row of a shard starts, and which of its rows may make calls right now (ADR 16).

`thread_num` bounds the calls that an import makes at a time, to image hosts and face services together. Every working
shard gets a share of it, its *grant*, with each renewal of its lease; live grants never sum to more than `thread_num`.
The gate keeps a shard within its grant: a row holds a *slot* while it makes a call, and steps *aside* while it decodes
or waits for this process or the catalogue, so that another row can use the slot.

All of it runs on one event loop; what is not a coroutine may be called from a signal handler.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from face_import import logs
from face_import.clock import elapsed
from face_import.domain.models import Row

log = logging.getLogger(__name__)
T = TypeVar("T")
Worker = asyncio.Task[Any] | None
Turn = asyncio.Future[T]

ROWS_ASIDE = 8
"""Rows that may be aside, beyond those that hold a slot."""


class Gate:
    """Starts the rows of a shard, and distributes its slots among them.

    Workers ask for rows one by one (`next_row`), and step `aside` for work that needs no slot. The holder of the lease
    passes on its grants (`grant`). Any part of the process may close the gate (`close`).

    Args:
        rows: of the shard.
        strict: whether no row may start while another one is aside: the next one may have to stop the import.
        shortage: why this machine has no room for further rows; empty while it has.

    Attributes:
        left: rows without an outcome, including those in progress, but without those set aside.
        set_aside: rows that wait for their image hosts.
        closed: why no further row starts; None while the gate is open.
        closed_at: when it was closed, by the monotonic clock.
    """

    def __init__(self, rows: int, *, strict: bool = False, shortage: Callable[[], str] = str) -> None:
        self.left = rows
        self.set_aside = 0
        self.closed: BaseException | None = None
        self.closed_at = 0.0
        self._aside = 0 if strict else ROWS_ASIDE
        self._slots = 0
        self._shortage, self._short_of = shortage, ""
        self._start_until = 0.0
        self._rows: deque[Row] = deque()
        self._more = True
        self._in_progress: set[Worker] = set()
        self._calling: set[Worker] = set()
        self._waiting: deque[tuple[Worker, Turn[Row | None]]] = deque()
        self._returning: deque[tuple[Worker, Turn[None]]] = deque()
        self._down: dict[str, bool] = {}
        self._taken, self._shut = asyncio.Event(), asyncio.Event()

    # For the lease, the source and the face services

    def grant(self, slots: int, start_until: float) -> None:
        """Set how many slots there are, and until when rows may start with them, by `clock.elapsed`."""
        self._slots, self._start_until = 0 if self._is_short() else slots, start_until
        self._admit()

    def _is_short(self) -> bool:
        """Whether rows have to wait for room; logs when that changes. Once the gate is closed, the last ones end."""
        before, self._short_of = self._short_of, "" if self.closed else self._shortage()
        if bool(before) != bool(self._short_of):
            log.warning("%s %s", f"rows wait: {self._short_of}" if self._short_of else "rows continue", logs.ids())
        return bool(self._short_of)

    @property
    def slots_in_use(self) -> int:
        """Slots that the next grant has to leave to this shard: what was granted, or what the last rows still hold."""
        return max(len(self._calling), 0 if self.closed else self._slots)

    def close(self, reason: BaseException) -> None:
        """Start no further row; rows in progress continue. The first reason is kept."""
        if self.closed is None:
            self.closed, self.closed_at = reason, time.monotonic()
            self._slots = max(1, self._slots)  # rows in progress have to end, even if the import is paused
            self._taken.set()
            self._shut.set()
            self._admit()

    async def shut(self) -> None:
        """Wait until the gate is closed."""
        await self._shut.wait()

    async def offer(self, rows: Iterable[Row]) -> bool:
        """Queue rows and wait until all of them have started; returns whether more are wanted."""
        self._rows.extend(rows)
        while self._rows and not self.closed:
            self._taken.clear()
            self._admit()
            if self._rows:
                await self._taken.wait()
        return not self.closed

    def no_more(self) -> None:
        """Say that all rows of the shard have been offered."""
        self._more = False
        self._admit()

    def wait(self) -> None:
        """Set the row of this worker aside until it comes `again`."""
        self.left -= 1
        self.set_aside += 1

    def again(self, rows: Sequence[Row]) -> None:
        """Let rows that were set aside start, before all others."""
        self.left += len(rows)
        self.set_aside -= len(rows)
        self._rows.extendleft(reversed(rows))
        self._admit()

    @property
    def wants(self) -> int:
        """Slots that can be used: one of them for rows that are set aside, of which one may have to ask its host."""
        return self.left + bool(self.set_aside)

    @property
    def slots(self) -> int:
        """Rows that may make calls at a time."""
        return self._slots

    @property
    def in_progress(self) -> int:
        """Rows in progress."""
        return len(self._in_progress)

    @property
    def drained(self) -> bool:
        """Whether no row is left to start, except those set aside."""
        return not (self._more or self._rows)

    def service_down(self, name: str, *, for_all: bool = True) -> None:
        """Let one row at a time ask a service that does not answer (ADR 7).

        If that may be the row's own fault (`for_all` is False), one other row may start to find out.
        """
        self._down[name] = for_all

    def service_up(self, name: str) -> None:
        """Let all rows resume."""
        if self._down.pop(name, None) is not None:
            self._admit()

    # For the workers

    async def next_row(self) -> Row | None:
        """End the worker's row and wait for its next one; None if no further row will start."""
        worker = asyncio.current_task()
        self.row_ended()
        if not self._may_start():
            if self._is_over():
                return None
            turn: Turn[Row | None] = asyncio.get_running_loop().create_future()
            self._waiting.append((worker, turn))
            return await turn
        return self._start(worker)

    @property
    def has_waiting(self) -> bool:
        """Whether a worker waits for a row."""
        return bool(self._waiting)

    def row_ended(self) -> None:
        """End the worker's row, if it has one; its slot goes to a row that has been aside."""
        worker = asyncio.current_task()
        self._in_progress.discard(worker)
        self._vacate(worker)

    async def aside(self, work: Awaitable[T], *, probes: bool = False) -> T:
        """Do something without a slot, then wait for one.

        A row whose work raises does not get its slot back: it has ended. A row that `probes` a service that is down may
        do so while others call: it has already started, so no additional row is at risk.
        """
        worker = asyncio.current_task()
        if worker not in self._calling:
            return await work
        self._vacate(worker)
        self._admit()
        result = await work
        if len(self._calling) < self._slots and (probes or (self._may_call() and not self._returning)):
            self._calling.add(worker)
        else:
            turn: Turn[None] = asyncio.get_running_loop().create_future()
            self._returning.append((worker, turn))
            await turn
        return result

    # The rules

    def _may_call(self) -> bool:
        """Whether another row may have a slot."""
        return len(self._calling) < self._slots and (not self._down or not self._calling)

    def _may_start(self) -> bool:
        """Whether grant, lease, rows aside and the state of the services allow the next row to start."""
        return (
            bool(self._rows)
            and self.closed is None
            and self._may_call()
            and elapsed() < self._start_until
            and len(self._in_progress) < self._slots + self._aside
            and (not self._down or len(self._in_progress) < (1 if any(self._down.values()) else 2))
        )

    def _is_over(self) -> bool:
        return self.closed is not None or (self.drained and not self.set_aside)

    def _start(self, worker: Worker) -> Row:
        self._in_progress.add(worker)
        self._calling.add(worker)
        row = self._rows.popleft()
        if not self._rows:
            self._taken.set()
        return row

    def _vacate(self, worker: Worker = None) -> None:
        """Free a worker's slot, and give free slots to the rows that have waited longest to come back."""
        self._calling.discard(worker)
        while self._returning and self._may_call():
            returning, turn = self._returning.popleft()
            if not turn.done():  # else it was cancelled
                self._calling.add(returning)
                turn.set_result(None)

    def _admit(self) -> None:
        """Admit the rows that may continue now: first those that were aside, then new ones."""
        self._vacate()
        over = self._is_over()
        while self._waiting and (over or self._may_start()):
            worker, turn_to_start = self._waiting.popleft()
            if not turn_to_start.done():
                turn_to_start.set_result(None if over else self._start(worker))
