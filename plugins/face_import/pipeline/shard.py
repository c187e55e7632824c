"""Many rows at once: a shard's rows under a lease, at the parallelism its grant allows (design decisions 3, 5, 12).

Three loops share one event loop: the *starter* starts rows while it may (where one ends, the next follows at once),
the *holder* renews the lease, the *writer* hands outcomes over about once a second. Blocking work (catalogue,
hand-over, decoding large pictures, reading the source) runs in threads.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar, cast

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from face_import import logs
from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code, Mode
from face_import.domain.identity import made_face_id
from face_import.domain.models import Outcome, OutcomeBatch, Row, Sent, Shard
from face_import.errors import Interrupted, LeaseLost, TaskFailed, TaskStopped
from face_import.pipeline.adding import sent_of
from face_import.pipeline.holder import LeaseHolder, Situation
from face_import.pipeline.meter import Meter, Observe, unobserved
from face_import.pipeline.refusals import Refusals
from face_import.pipeline.row import RowImporter
from face_import.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

WRITE_EVERY_S = 1.0
WRITE_AT = 500
HOLD_AT = 5000
"""Outcomes waiting for a slow catalogue beyond which no further row starts."""
READ_ROWS, READ_BYTES = 100, 4 * 2**20
ROWS_ASIDE = 8
"""Rows that decode, wait for their line in the journal, or for a place, beside those that make calls."""


@dataclass(frozen=True, slots=True)
class ShardWork:
    """What a try needs to work on a shard.

    Attributes:
        owner: uuid of the try's task instance.
        rows: the shard's rows, read anew.
        push: hands a batch over to the ledger; called in a thread, may be repeated with the same batch.
        meter: what the services' calls are noted in.
        observe: is told what was done after each batch that the ledger has; called in a thread, does not raise.
    """

    task: ImportTask
    shard: Shard
    owner: str
    rows: Iterator[Row]
    push: Callable[[OutcomeBatch], None]
    meter: Meter = field(default_factory=Meter)
    observe: Observe = unobserved


class ShardImport:
    """One try at a shard.

    Args:
        work: what to do.
        importer: takes one row its way.
        catalogue: where lease and ledger are.
        settings: times of lease and stop.
    """

    def __init__(self, work: ShardWork, importer: RowImporter, catalogue: Catalogue, settings: Settings) -> None:
        self._work = work
        self._import_row = importer.import_row
        self._outages = (importer.info_outage, importer.adder.outage)
        self._refusals = Refusals(*self._outages, importer.info.detect)
        self._ledger = catalogue.ledger
        self._journal, self._earlier_adds = importer.adder.journal, catalogue.journal.of_rows
        self._stop_grace_s = settings.stop_grace_s
        self._wake = asyncio.Event()
        self._write_now = asyncio.Event()
        self._places = importer.places
        self._situation = Situation(work.shard.rows, importer.places)
        self._holder = LeaseHolder(
            catalogue.leases,
            (work.task.id, work.shard.number),
            work.owner,
            self._situation,
            settings,
            changed=self._changed,
            ended=self._lease_ended,
        )
        self._push_thread = ThreadPoolExecutor(1, "push")
        self._read_thread = ThreadPoolExecutor(1, "read")
        self._ready: deque[Row] = deque()
        self._places.govern(is_free=self._may_go_on, left=self._start_next)
        self._aside = 0 if work.task.config.mode == Mode.STOP else ROWS_ASIDE  # there a row more is one too many
        self._under_way: dict[asyncio.Task[None], Row] = {}
        self._unwritten: list[Outcome] = []
        self._broken_off: list[Row] = []
        self._unseen = True
        self._halted: BaseException | None = None
        self._halted_at = 0.0

    async def run(self) -> None:
        """Work until every row of the shard is in the ledger.

        Raises:
            TaskStopped: the task was stopped; what was handled is in the ledger.
            Interrupted: `stop` was called.
            TaskFailed: somebody has to do something first.
            LeaseLost: the lease ran out; rows in flight were broken off.
        """
        shard = self._work.shard
        logs.about(task=self._work.task.id, shard=shard.number)
        await self._holder.take()
        rows = (self._work.task.id, shard.first_row, shard.last_row)
        handled = await self._in(self._read_thread, self._ledger.handled_rows, *rows)
        self._journal.in_doubt = self._holder.in_doubt
        self._journal.earlier = await self._in(self._read_thread, self._earlier_adds, *rows)
        self._situation.left -= len(handled)
        loops = asyncio.create_task(self._holder.keep()), asyncio.create_task(self._write())
        try:
            await self._start_rows(handled)
        except BaseException as error:  # noqa: BLE001 - kept, and raised when the shard is in order
            self._halt(error)
        finally:
            await self._wind_up(*loops)
        if self._halted is not None:
            raise self._halted

    def stop(self, reason: str) -> None:
        """Start no further row, let those in flight end, and leave; safe to call from a signal handler."""
        self._halt(Interrupted(reason))

    async def _start_rows(self, handled: set[int]) -> None:
        """Have rows ready, a bounded portion at a time, and start as many of them as may be in flight."""
        while portion := await self._in(self._read_thread, _portion, self._work.rows):
            self._ready.extend(row for row in portion if row.number not in handled)
            while self._ready and self._halted is None:
                self._start_next()
                if self._ready:
                    self._wake.clear()
                    await self._wake.wait()
            if self._halted is not None:
                return

    async def _handle_rows(self) -> None:
        """Handle the row that this task was given, and the next ones while they may start.

        To start each of them anew would have them wait three times for the event loop.
        """
        task = cast("asyncio.Task[None]", asyncio.current_task())
        while row := self._under_way.get(task):
            await self._handle(row)
            self._row_ended(task)
            if self._may_start():
                self._take_row(task)
            if not self._ready or self._may_start():
                self._wake.set()

    def _start_next(self) -> None:
        """Start rows, each in a task of its own, as long as they may start."""
        while self._may_start():
            task = asyncio.create_task(self._handle_rows())
            task.add_done_callback(self._ended)
            self._take_row(task)
        if not self._ready:
            self._wake.set()

    def _may_start(self) -> bool:
        """Whether the next row may start: by the lease, by what is still to be written, by the services' health."""
        if self._halted is not None or not self._ready:
            return False
        return (
            self._holder.allows_another()
            and len(self._under_way) < self._holder.limit + self._aside
            and len(self._unwritten) < HOLD_AT
            and not self._refusals.too_many
            and self._may_call()
        )

    def _may_go_on(self) -> bool:
        """Whether a row under way may have a place again."""
        return len(self._places) < self._holder.limit and self._may_call()

    def _may_call(self) -> bool:
        """A service that is away is asked by one row at a time (ADR 7)."""
        return not self._places or not any(outage.down for outage in self._outages)

    def _changed(self) -> None:
        """The lease was renewed: there may be more places."""
        self._places.fill()
        self._wake.set()

    def _take_row(self, task: asyncio.Task[None]) -> None:
        self._under_way[task] = self._ready.popleft()
        self._places.take(task)

    def _row_ended(self, task: asyncio.Task[None]) -> Row | None:
        row = self._under_way.pop(task, None)
        self._places.leave(task)
        return row

    async def _handle(self, row: Row) -> None:
        logs.about(row=row.number)
        began = time.monotonic()
        outcome = await self._import_row(row)
        self._work.meter.row_took(time.monotonic() - began)
        self._situation.left -= 1
        stops = outcome.code != Code.OK and self._work.task.config.mode == Mode.STOP
        if outcome.refused and not stops:
            await self._hold(outcome)
        else:
            self._unwritten.append(outcome)
        self._unwritten += self._refusals.release()
        if stops:
            self._halt(TaskStopped(f"row {row.number} failed and the task stops at errors"))
            self._write_now.set()
        elif len(self._unwritten) >= WRITE_AT or (self._unseen and self._unwritten):
            self._unseen = False  # the first row of a try is shown at once: somebody waits for a sign of life
            self._write_now.set()

    async def _hold(self, outcome: Outcome) -> None:
        try:
            await self._refusals.hold(outcome)
        except TaskFailed as error:
            self._halt(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A row that its task leaves behind has no outcome."""
        row = self._row_ended(task)
        number = row.number if row else None
        if row:
            self._broken_off.append(row)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("row ends its shard's try %s row=%s error=%s", logs.ids(), number, type(error).__name__)
            self._halt(error)
        self._wake.set()

    def _halt(self, reason: BaseException) -> None:
        if self._halted is None:
            self._halted, self._halted_at = reason, time.monotonic()
        self._wake.set()

    def _lease_ended(self, reason: BaseException) -> None:
        """Without a lease others may take the rows: break off those in flight; a stop lets them end."""
        self._halt(reason)
        if not isinstance(reason, TaskStopped):
            for task in self._under_way:
                task.cancel()

    async def _write(self) -> None:
        while True:
            with suppress(TimeoutError):  # `wait_for` would lose a cancellation (Python 3.11)
                async with asyncio.timeout(WRITE_EVERY_S):
                    await self._write_now.wait()
            self._write_now.clear()
            try:
                await self._flush()
            except OperationalError as error:
                log.warning("outcomes wait for the catalogue %s error=%s", logs.ids(), error.orig)
            except Exception as error:  # noqa: BLE001 - whatever it is ends this try, not the writer in silence
                self._lease_ended(error)
                return

    async def _flush(self) -> None:
        """Hand over what is there; it stays until the ledger has it, and a repeat changes nothing there."""
        if self._unwritten:
            batch = self._batch()
            await self._in(self._push_thread, self._work.push, batch)
            del self._unwritten[: len(batch.outcomes)]
            self._wake.set()
            await self._in(self._push_thread, self._work.observe, self._work.meter.take(batch.outcomes))

    async def _write_last(self) -> tuple[Outcome, ...]:
        """Write what is left straight into the ledger, and hand it over only if the shard is done.

        An earlier batch may still be waiting for Airflow to take its reference, and Airflow kills a process that it
        asked to end 5 s later.
        """
        batch = self._batch()
        if batch.outcomes:
            await asyncio.to_thread(self._ledger.write, batch)
            if self._halted is None:
                await self._in(self._push_thread, self._work.push, batch)
            self._unwritten.clear()
        return batch.outcomes

    async def _noted_broken_off(self) -> bool:
        """Note the rows that have no outcome and may have been sent; returns whether that could be done."""
        unknown = {o.row for o in self._unwritten}
        adds = [sent_of(self._work.task.id, row) for row in self._broken_off if row.number not in unknown]
        adds += [Sent(row, made_face_id(self._work.task.id, row), b"") for row in self._refusals.unsettled]
        if unknown or not adds or self._work.task.config.entry:
            return not unknown
        try:
            await asyncio.to_thread(self._journal.write, adds)
        except (SQLAlchemyError, LeaseLost):
            return False
        return True

    def _batch(self) -> OutcomeBatch:
        work = self._work
        return OutcomeBatch(work.task.id, work.shard.number, work.owner, tuple(self._unwritten))

    async def _wind_up(self, keeping: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """Let rows in flight end, write the last outcomes, and give the lease back."""
        await self._drain()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._halted is None:
            try:
                self._unwritten += await self._refusals.release_last()
            except TaskFailed as error:
                self._halt(error)
        await _ended(writing)
        written: tuple[Outcome, ...] = ()
        try:
            written = await self._write_last()
        except Exception as error:  # noqa: BLE001 - the rows are done again by the next try
            # above a stop: a bad row that did not reach the ledger has not stopped its task (mode 1)
            self._halted = error
        await _ended(keeping)
        await self._holder.give_back(in_doubt=self._journal.in_doubt or not await self._noted_broken_off())
        stopped = isinstance(self._halted, TaskStopped | Interrupted)
        stop_s = time.monotonic() - self._halted_at if stopped else None
        await asyncio.to_thread(self._work.observe, self._work.meter.take(written, stop_s))
        self._push_thread.shutdown(wait=False)
        self._read_thread.shutdown(wait=False)

    async def _drain(self) -> None:
        """Wait for the rows in flight: as long as it takes, or a few seconds once the shard was halted."""
        while self._under_way:
            if self._halted is not None and time.monotonic() - self._halted_at > self._stop_grace_s:
                return
            await asyncio.wait(list(self._under_way), timeout=0.1)

    async def _in(self, threads: ThreadPoolExecutor, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, function, *args)


def _portion(rows: Iterator[Row]) -> list[Row]:
    portion: list[Row] = []
    size = 0
    for row in rows:
        portion.append(row)
        size += len(row.uri)
        if len(portion) >= READ_ROWS or size >= READ_BYTES:
            break
    return portion


async def _ended(loop: asyncio.Task[None]) -> None:
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
