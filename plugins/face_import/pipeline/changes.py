"""The way of a recurring import's row of which only changes are imported: unchanged ones end after the fetch."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random

from face_import.catalogue import Holdings
from face_import.contract import Code
from face_import.domain.changes import cells_digest, content_digest, face_id_of, row_key
from face_import.domain.models import Change, Face, Holding, Outcome, Row
from face_import.domain.uri import DataUri, display
from face_import.errors import ServiceRefusal, ServiceUnavailable
from face_import.pipeline.row import RowImporter, Verdict

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)  # no slots: `super()` would not find the class that they make
class ChangesImporter(RowImporter):
    """Imports what is new or changed of a recurring import's rows.

    Attributes:
        entry: name of the recurring import.
        holdings: what it has in the group.
    """

    entry: str
    holdings: Holdings

    async def import_row(self, row: Row, *, doubtful: bool = False) -> Outcome:
        """Take a row its way; a row that fails on it is in the file nevertheless, and its old face stays."""
        outcome = await super().import_row(row, doubtful=doubtful)
        if outcome.code != Code.OK and (row.id or row.uri):
            await self._in_catalogue(self.holdings.see, row_key(row))
        return outcome

    async def _import_good_row(self, row: Row, *, doubtful: bool) -> Outcome:  # noqa: ARG002 - the journal knows better
        held = await self._in_catalogue(self.holdings.find, row_key(row))
        cells = cells_digest(row)
        settled = held is not None and not held.pending
        known = held.validator if held is not None and settled and held.cells == cells else ""
        async with self.fetcher.fetched_if_changed(row.uri, known) as picture:
            if held is not None and picture.unchanged:
                digest = held.digest
            else:
                digest = await self._in_thread(content_digest, row, picture.data)
            now = Holding(row_key(row), face_id_of(self.entry, row), digest, cells, picture.validator)
            if held is not None and settled and held.digest == digest:
                return await self._unchanged(row, replace(now, face_id=held.face_id))
            outcome = await self._import_image(
                row, picture.data, lambda uri, face: self._replace(row, held, now, uri, face)
            )
        if outcome.code != Code.OK:
            return outcome
        change = Change.CHANGED if held is not None and held.digest else Change.NEW
        return replace(outcome, change=change, holding=replace(now, face_id=outcome.face_id))

    async def _unchanged(self, row: Row, now: Holding) -> Outcome:
        if await self._in_catalogue(self.holdings.confirm, now, row.number):
            return Outcome(row.number, display(row.uri), Code.OK, "unchanged", now.face_id, change=Change.UNCHANGED)
        return Outcome(row.number, display(row.uri), *await self._taken(row))

    async def _replace(
        self, row: Row, held: Holding | None, now: Holding, uri: DataUri, face: Face
    ) -> tuple[str, Verdict | None]:
        """Add a face, and before it delete the one that the library has, or may have, of this row.

        Until the outcome is in the ledger the holding is pending: whoever finds it so begins here again. What 302
        leaves open stays so; any other refusal means that the library has no face of this row.
        """
        was = held.digest if held is not None else b""
        if not await self._in_catalogue(partial(self.holdings.reserve, was=was), now.key, now.face_id, row.number):
            return "", await self._taken(row)
        named = replace(row, id=now.face_id)
        try:
            if held is not None:
                await self._delete(held.face_id, now.face_id)
            added, verdict = await self._add(named, uri, face, doubtful=False)
            if verdict is not None and verdict[0] == Code.DUPLICATE_ID and (held is not None or not row.id):
                # of this row: by an import that died just now, or that the catalogue has forgotten
                await self._delete(now.face_id)
                added, verdict = await self._add(named, uri, face, doubtful=False)
        except ServiceUnavailable as error:
            return "", (Code.LIBRARY_UNAVAILABLE, str(error))
        except ServiceRefusal as error:
            return "", self._refusal(error, now.face_id)
        if verdict is not None and verdict[0] != Code.LIBRARY_UNAVAILABLE:
            await self._in_catalogue(self.holdings.release, now.key, row.number)
        return added, verdict

    async def _delete(self, *face_ids: str) -> None:
        """Delete faces one by one: a library may refuse a list as a whole if one of its ids is not there."""
        for face_id in sorted(set(face_ids)):
            await self.library_outage.call(partial(self.library.delete, self.group, [face_id]))

    async def _in_catalogue(self, function: Callable[..., T], *args: object) -> T:
        """Call the journal in a thread: a locked catalogue is asked again, as long as the row is under way."""
        retrying = AsyncRetrying(retry=retry_if_exception_type(OperationalError), wait=wait_random(0.1, 0.5))
        return await retrying(_to_its_end, self.threads, partial(function, *args))

    async def _taken(self, row: Row) -> Verdict:
        """Which row was faster under the same key."""
        held = await self._in_catalogue(self.holdings.find, row_key(row))
        what = f"id {row.id!r}" if row.id else "uri"
        if held is None or held.task_id == self.task_id:
            return Code.DUPLICATE_ID, f"row {held.row if held else '?'} of the file has the same {what}"
        return Code.DUPLICATE_ID, f"import {held.task_id}, which runs too, is at the row with the same {what}"


async def _to_its_end(threads: Executor, function: Callable[[], T]) -> T:
    """Wait for a thread's call also if the row is broken off: it must not come after what the next try writes."""
    call = asyncio.get_running_loop().run_in_executor(threads, function)
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait({call})
        raise
