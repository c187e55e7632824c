"""Adds under own ids are noted before they are sent, those of many rows in one transaction (ADR 20)."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Holder
from face_import.clients.retrying import retried
from face_import.domain.models import Sent

NOTE_EVERY_S = 0.02
"""Minimum seconds between two transactions: rows that arrive in between share the next one."""

Note = Callable[[Sequence[Sent]], Mapping[int, Holder]]


class AddJournal:
    """The journal of one try; belongs to the running event loop.

    Args:
        note: writes entries (`catalogue.Journal.note`).
        thread: where it is called for rows.

    Attributes:
        earlier: adds that earlier tries noted and the ledger has not settled, by row.
        in_doubt: whether an earlier try ended without notice, so that faces with made ids may be in the group too.
    """

    def __init__(self, note: Note, thread: Executor) -> None:
        self.earlier: Mapping[int, Sent] = {}
        self.in_doubt = False
        self.write = note
        self._waiting: list[tuple[Sent, asyncio.Future[Holder | None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = thread

    async def note(self, sent: Sent) -> Holder | None:
        """Note an add; returns who has the id if the add must not be sent.

        Raises:
            LeaseLost: another try owns the shard.
            SQLAlchemyError: the catalogue fails; while it is unavailable or locked, this waits.
        """
        noted: asyncio.Future[Holder | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((sent, noted))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await noted

    async def _write(self) -> None:
        """Write the waiting entries, and those that arrive meanwhile, until none is left."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
                await asyncio.sleep(NOTE_EVERY_S)
        finally:
            self._writing = None

    async def _write_batch(self, batch: Sequence[tuple[Sent, "asyncio.Future[Holder | None]"]]) -> None:
        adds = [sent for sent, _ in batch]
        try:
            refused = await retried(partial(self._in_thread, adds), OperationalError, wait_for_catalogue)
        except Exception as error:  # noqa: BLE001 - raised for each of the rows
            for _, noted in batch:
                if not noted.done():
                    noted.set_exception(error)
        else:
            for sent, noted in batch:
                if not noted.done():
                    noted.set_result(refused.get(sent.row))

    async def _in_thread(self, adds: Sequence[Sent]) -> Mapping[int, Holder]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.write, adds)


async def wait_for_catalogue(_error: OperationalError, _attempts: int) -> None:
    """Pause before the next attempt: a row in progress waits as long as the catalogue is locked or down."""
    await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - no secret
