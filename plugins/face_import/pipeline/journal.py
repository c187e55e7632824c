"""Adds are noted before they are sent, those of many rows in one transaction (ADR 20), and so are turns (ADR 33)."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Generic, TypeVar

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Holder
from face_import.clients.retrying import retried
from face_import.domain.models import Sent

NOTE_EVERY_S = 0.02
"""Minimum seconds between two transactions: rows that arrive in between share the next one."""

Note = Callable[[Sequence[Sent]], Mapping[int, Holder]]
TakeTurns = Callable[[Sequence[tuple[int, bytes]]], None]
T = TypeVar("T")
R = TypeVar("R")


class AddJournal:
    """The journal of one try; belongs to the running event loop.

    Args:
        note: writes entries (`catalogue.Journal.note`).
        take_turns: gives rows with entries their turns (`catalogue.Turns.take`).
        thread: where they are called for rows.

    Attributes:
        earlier: adds that earlier tries noted and the ledger has not settled, by row.
        in_doubt: whether an earlier try ended without notice, so that faces with made ids may be in the group too.
    """

    def __init__(self, note: Note, take_turns: TakeTurns, thread: Executor) -> None:
        self.earlier: Mapping[int, Sent] = {}
        self.in_doubt = False
        self.write = note
        self._notes: _Together[Sent, Mapping[int, Holder]] = _Together(self.write, thread)
        self._turns: _Together[tuple[int, bytes], None] = _Together(take_turns, thread)

    async def note(self, sent: Sent) -> Holder | None:
        """Note an add; returns who has the id if the add must not be sent.

        Raises:
            LeaseLost: another try owns the shard.
            SQLAlchemyError: the catalogue fails; while it is unavailable or locked, this waits.
        """
        return (await self._notes.write(sent)).get(sent.row)

    async def take_turn(self, row: int, picture: bytes) -> None:
        """Take the turn of a row whose add is noted and carried out, with this picture; raises as `note` does."""
        await self._turns.write((row, picture))


class _Together(Generic[T, R]):
    """Writes what many rows have to write in one transaction.

    Args:
        write: writes it.
        thread: where it is called.
    """

    def __init__(self, write: Callable[[Sequence[T]], R], thread: Executor) -> None:
        self._to_write = write
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = thread

    async def write(self, one: T) -> R:
        """Write one row's part, and return the result of the transaction that it is in."""
        written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await written

    async def _write(self) -> None:
        """Write what waits, and what arrives meanwhile, until nothing is left."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
                await asyncio.sleep(NOTE_EVERY_S)
        finally:
            self._writing = None

    async def _write_batch(self, batch: "Sequence[tuple[T, asyncio.Future[R]]]") -> None:
        parts = [one for one, _ in batch]
        try:
            result = await retried(partial(self._in_thread, parts), OperationalError, wait_for_catalogue)
        except Exception as error:  # noqa: BLE001 - raised for each of the rows
            for _, written in batch:
                if not written.done():
                    written.set_exception(error)
        else:
            for _, written in batch:
                if not written.done():
                    written.set_result(result)

    async def _in_thread(self, parts: Sequence[T]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._to_write, parts)


async def wait_for_catalogue(_error: OperationalError, _attempts: int) -> None:
    """Pause before the next attempt: a row in progress waits as long as the catalogue is locked or down."""
    await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - no secret
