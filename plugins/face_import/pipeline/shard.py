"""Many rows at once: a shard's rows under a lease, at the parallelism its grant allows (design decisions 3, 5, 12).

*Workers* take row after row from the gate, one loop renews the lease, one hands outcomes over about once a second.
Blocking work (catalogue, hand-over, decoding large images, reading the source) runs in threads.
"""

import asyncio
import logging
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from face_import import logs
from face_import.catalogue import Catalogue
from face_import.contract import Code, Mode
from face_import.domain.identity import made_face_id
from face_import.domain.models import Outcome, OutcomeBatch, Row, Sent
from face_import.errors import Interrupted, LeaseLost, RowWaits, TaskFailed, TaskStopped
from face_import.pipeline.adding import sent_of
from face_import.pipeline.gate import Gate
from face_import.pipeline.lease import LeaseHolder
from face_import.pipeline.outage import Refusals
from face_import.pipeline.row import RowImporter
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

WRITE_EVERY_S = 1.0
WRITE_AT = 500
HOLD_AT = 5000
"""Outcomes waiting for a slow catalogue beyond which a row waits with them."""
READ_ROWS, READ_BYTES = 100, 4 * 2**20


class ShardImport:
    """One try at a shard.

    Args:
        work: what to do.
        importer: imports one row.
        gate: starts the rows.
        catalogue: has the lease, the ledger and the journal.
        settings: durations of lease and stop.
    """

    def __init__(
        self, work: ShardWork, importer: RowImporter, gate: Gate, catalogue: Catalogue, settings: Settings
    ) -> None:
        self._work = work
        self._import_row = importer.import_row
        self._visits, self._hosts = importer.visits, importer.visits.hosts
        self._refusals = Refusals(importer.info_outage, importer.adder.outage, importer.info.detect)
        self._tasks, self._ledger = catalogue.tasks, catalogue.ledger
        self._journal, self._earlier_adds = importer.adder.journal, catalogue.journal.of_rows
        self._stop_grace_s = settings.stop_grace_s
        self._gate = gate
        self._lease = LeaseHolder(catalogue.leases, (work.task.id, work.shard.number), work.owner, gate, settings)
        self._push_thread = ThreadPoolExecutor(1, "push")
        self._read_thread = ThreadPoolExecutor(1, "read")
        self._workers: set[asyncio.Task[None]] = set()
        self._unwritten: list[Outcome] = []
        self._write_now, self._written = asyncio.Event(), asyncio.Event()
        self._cut_off: list[Row] = []
        self._unseen = True

    async def run(self) -> None:
        """Work until every row of the shard is in the ledger.

        Raises:
            TaskStopped: the task was stopped; rows handled before are in the ledger.
            Interrupted: `stop` was called.
            TaskFailed: somebody has to act first.
            LeaseLost: the lease expired; rows in progress were cut off.
            ShardWaits: all rows that are left wait for their hosts.
        """
        logs.about(task=self._work.task.id, shard=self._work.shard.number)
        await self._lease.take()
        # before anything can end this try: doubt is given back with the lease
        self._journal.in_doubt = self._lease.in_doubt
        keeping, writing = asyncio.create_task(self._lease.keep()), asyncio.create_task(self._write())
        working = asyncio.create_task(self._work_off())
        hosting = asyncio.create_task(self._hosts.keep())
        shut = asyncio.create_task(self._gate.shut())
        try:
            await asyncio.wait({working, shut, keeping, writing, hosting}, return_when=FIRST_COMPLETED)
            if not (_failed(keeping) or _failed(writing) or _failed(hosting)):
                await asyncio.wait({working, keeping, writing}, timeout=self._grace_s(), return_when=FIRST_COMPLETED)
        except BaseException as error:  # noqa: BLE001 - raised below, after the shard is wound up
            self._gate.close(error)
        await _end(shut)
        if failure := _failed(hosting):
            self._gate.close(failure)
        await _end(hosting)
        if reason := await self._wind_up(working, keeping, writing):
            raise reason

    def stop(self, reason: str) -> None:
        """Start no further row, and end when those in progress have; safe to call from a signal handler."""
        self._gate.close(Interrupted(reason))

    async def _work_off(self) -> None:
        """Offer the shard's rows to the gate, a bounded portion at a time, and wait until they have ended."""
        try:
            handled = await self._look_back()
            self._hire()
            while portion := await self._in(self._read_thread, _portion, self._work.rows):
                if not await self._gate.offer(row for row in portion if row.number not in handled):
                    break
            self._gate.no_more()
        except Exception as error:  # noqa: BLE001 - source or catalogue fail: no row can continue
            self._gate.close(error)
        while self._workers:
            await asyncio.wait(self._workers)

    async def _look_back(self) -> set[int]:
        """Read what earlier tries have left: rows with an outcome, adds and removals that were noted.

        Raises:
            LeaseLost: the task got other limits, or was made real, between this try's reading of it and its lease.
        """
        task, shard = self._work.task, self._work.shard
        config = (await self._in(self._read_thread, self._tasks.get, task.id)).config
        if (config.limits, config.scope) != (task.config.limits, task.config.scope):
            raise LeaseLost(f"task {task.id} was given other limits meanwhile")
        rows = (self._work.task.id, shard.first_row, shard.last_row)
        handled = await self._in(self._read_thread, self._ledger.handled_rows, *rows)
        self._journal.earlier = await self._in(self._read_thread, self._earlier_adds, *rows)
        self._gate.left -= len(handled)
        await self._hosts.refresh()
        return handled

    def _hire(self) -> None:
        """Add a worker that waits at the gate; when it gets a row, it adds the next worker."""
        worker = asyncio.create_task(self._handle_rows())
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _handle_rows(self) -> None:
        """Handle one row after the other: a new task for each row would first wait for the event loop."""
        while row := await self._gate.next_row():
            if not self._gate.has_waiting:
                self._hire()
            try:
                await self._refusals.answered()
                await self._handle(row)
            except RowWaits:
                continue
            except asyncio.CancelledError:
                self._cut_off.append(row)
                raise
            except BaseException as error:  # noqa: BLE001 - ends the try
                self._cut_off.append(row)
                log.warning("row ends its try %s row=%s error=%s", logs.ids(), row.number, type(error).__name__)
                self._gate.close(error)
            finally:
                self._visits.ended(row.number)
            while len(self._unwritten) >= HOLD_AT and not self._gate.closed:
                self._written.clear()
                await self._written.wait()

    async def _handle(self, row: Row) -> None:
        logs.about(row=row.number)
        began = time.monotonic()
        outcome = await self._import_row(row)
        self._visits.settled(row.number)
        self._work.meter.row_took(time.monotonic() - began)
        self._gate.left -= 1
        self._gate.row_ended()
        stops = outcome.code != Code.OK and not outcome.removed and self._work.task.config.mode == Mode.STOP
        if outcome.refused and not stops:
            await self._hold(outcome)
        else:
            self._unwritten.append(outcome)
        self._unwritten += self._refusals.release()
        if stops:
            self._gate.close(TaskStopped(f"row {row.number} failed and the task stops at errors"))
            self._write_now.set()
        elif len(self._unwritten) >= WRITE_AT or (self._unseen and self._unwritten):
            self._unseen = False  # show the first row of a try at once, as a sign of progress
            self._write_now.set()

    async def _hold(self, outcome: Outcome) -> None:
        try:
            await self._refusals.hold(outcome)
        except TaskFailed as error:
            self._gate.close(error)

    def _grace_s(self) -> float | None:
        """How long rows in progress may take: without limit, or a few seconds once the gate is closed."""
        return self._stop_grace_s if self._gate.closed else None

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

    async def _flush(self) -> None:
        """Hand over the outcomes; they are kept until the ledger has them, and a repeat changes nothing there."""
        if self._unwritten:
            batch = self._batch()
            await self._in(self._push_thread, self._work.push, batch)
            del self._unwritten[: len(batch.outcomes)]
            self._written.set()
            await self._in(self._push_thread, self._work.observe, self._work.meter.take(batch.outcomes))

    async def _write_last(self) -> tuple[Outcome, ...]:
        """Write the remaining outcomes directly to the ledger, and push them only if the shard is done.

        An earlier batch may still be waiting for Airflow to store its reference, and Airflow kills a process 5 s after
        it asked it to end.
        """
        batch = self._batch()
        if batch.outcomes:
            await asyncio.to_thread(self._ledger.write, batch)
            if self._gate.closed is None:
                await self._in(self._push_thread, self._work.push, batch)
            self._unwritten.clear()
        return batch.outcomes

    async def _noted_cut_off(self) -> bool:
        """Note the rows without an outcome that may have been sent; returns whether that succeeded."""
        unknown = {o.row for o in self._unwritten}
        adds = [sent_of(self._work.task.id, row) for row in self._cut_off if row.number not in unknown]
        adds += [Sent(row, made_face_id(self._work.task.id, row), b"") for row in self._refusals.unsettled]
        if unknown or not adds or not self._work.task.config.journals:
            return not unknown
        try:
            await asyncio.to_thread(self._journal.write, adds)
        except (SQLAlchemyError, LeaseLost):
            return False
        return True

    def _batch(self) -> OutcomeBatch:
        work = self._work
        return OutcomeBatch(work.task.id, work.shard.number, work.owner, tuple(self._unwritten))

    async def _wind_up(self, *loops: asyncio.Task[None]) -> BaseException | None:
        """Cut off what is still in progress, write the last outcomes, and give the lease back.

        Returns:
            Why the try did not handle all rows; None if it did.
        """
        working, keeping, writing = loops
        for error in filter(None, (_failed(keeping), _failed(writing))):
            self._gate.close(error)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await _end(working)
        if self._gate.closed is None:
            try:
                self._unwritten += await self._refusals.release_last()
            except TaskFailed as error:
                self._gate.close(error)
        await _end(writing)
        written: tuple[Outcome, ...] = ()
        reason = self._gate.closed
        try:
            written = await self._write_last()
        except Exception as error:  # noqa: BLE001 - the next try handles the rows again
            # takes precedence over a stop: a bad row that did not reach the ledger has not stopped its task (mode 1)
            reason = error
        await _end(keeping)
        await self._hosts.ended(done=reason is None)
        await self._lease.give_back(in_doubt=self._journal.in_doubt or not await self._noted_cut_off())
        stopped = isinstance(reason, TaskStopped | Interrupted)
        stop_s = time.monotonic() - self._gate.closed_at if stopped else None
        await asyncio.to_thread(self._work.observe, self._work.meter.take(written, stop_s))
        self._push_thread.shutdown(wait=False)
        self._read_thread.shutdown(wait=False)
        return reason

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


def _failed(loop: asyncio.Task[None]) -> BaseException | None:
    return loop.exception() if loop.done() and not loop.cancelled() else None


async def _end(loop: asyncio.Task[None]) -> None:
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
