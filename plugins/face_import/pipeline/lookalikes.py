"""Keeping the wrong face out of a group: a row looks for what speaks against it before its add, and after it (ADR 33).

Two rows in flight do not see each other before their adds, so each looks once more with its face in the group, after it
has taken its turn (`catalogue.turns`). The later of two that see each other takes its own face back.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from face_import.catalogue import Twin
from face_import.clients.retrying import retried
from face_import.clients.services import Found
from face_import.contract import Code, Reason
from face_import.domain.guard import Guard
from face_import.domain.likeness import Doubt, Hit, doubt
from face_import.domain.models import Holding, Row
from face_import.domain.uri import DataUri
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable, TaskFailed
from face_import.pipeline.adding import Added, Adder, Candidate, Verdict
from face_import.pipeline.journal import wait_for_catalogue
from face_import.pipeline.removing import Remover

T = TypeVar("T")
MOST_ALIKE = 100
MOST_OF_GROUP = 1000
"""How many faces are compared: to know those of a tag, the whole group, or the most similar ones of a larger group."""


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Compares the faces of one try with those in their group.

    Attributes:
        remover: gives an unanswered delete time to be carried out.
        give_up: takes a row's turn back (`catalogue.Turns.give_up`).
        later: faces of rows that look after this one (`catalogue.Turns.later`).
        twins: other rows that have a row's picture (`catalogue.Pictures`).
        regain: gives a row of an entry its picture back (`catalogue.Pictures.regain`).
        threads: where the catalogue is called.
        dry_run: whether nothing is added: then a face is compared with what the group has, if there is a group.
    """

    guard: Guard
    dry_run: bool
    adder: Adder
    remover: Remover
    give_up: Callable[[int], None]
    later: Callable[[int, Collection[str]], set[str]]
    twins: Callable[[Row, bytes], list[Twin]]
    regain: Callable[[Row, Holding, bytes, Collection[Twin]], Twin | None]
    threads: Executor

    @property
    def needed(self) -> bool:
        """Whether an add is anything else than the adder's."""
        return self.guard.compares or bool(self.guard.same_picture)

    async def add(self, found: Candidate) -> Added:
        """Add a face that is the right one for its tag, as `Adder.add` does.

        What an earlier try may have added is not compared before: only after its add is it known to be ours, and only
        then may it be taken back.
        """
        ours = {self.adder.id_of(found.row)}
        if self.dry_run:
            return "", await self.before(found, ours)
        if found.row.number not in self.adder.journal.earlier and (refused := await self.before(found, ours)):
            return "", refused
        face_id, verdict = await self.adder.add(found)
        return (face_id, verdict) if verdict else await self.after(found, face_id, ours)

    async def before(self, found: Candidate, ours: Collection[str]) -> Verdict | None:
        """Why a face is not to be added; None if it may be, and if comparisons are only noted.

        Args:
            found: the face.
            ours: ids of faces in the group that are the row's own.

        Raises:
            TaskFailed: the library does not search.
        """
        if not self.dry_run and (twice := await self.twice(found.row, found.data, found.uri)):
            return twice
        if not (self.guard.compares if self.dry_run else self.guard.refuses):
            return None
        try:
            return self._verdict(self._against(found, await self._similar(found, ours)))
        except ServiceUnavailable as error:
            return Verdict(Code.LIBRARY_UNAVAILABLE, str(error), reason=Reason.UNAVAILABLE)
        except ServiceRefusal as error:
            return self.adder.refusal(error, found, self.adder.id_of(found.row))

    async def after(self, found: Candidate, face_id: str, ours: Collection[str]) -> Added:
        """Compare a face that was added with what has come into the group before it, and take it back if need be.

        Args:
            found: the face.
            face_id: its id; the row has an entry in the journal unless comparisons are only noted.
            ours: as for `before`.

        Returns:
            The id, with what was noticed if it is only noted (code 0); or why the face is not in the group any more.
        """
        try:
            against = await self._after_our_turn(found, ours) if self.guard.keeps_out else None
            if against is not None:
                await self._take_back(found, face_id)
                return "", against
            if self.guard.refuses or not self.guard.compares:
                return face_id, None
            return face_id, self._verdict(self._against(found, await self._similar(found, ours)))
        except ServiceUnavailable as error:
            return "", _unknown(face_id, str(error), Reason.UNAVAILABLE)
        except ServiceRefusal as error:
            verdict = _unknown(face_id, f"library service: {error}", Reason.REFUSED)
            return "", verdict._replace(refused=error.kind if error.unexpected else None)

    async def _after_our_turn(self, found: Candidate, ours: Collection[str]) -> Verdict | None:
        """What speaks against a face that is in the group, by the faces of rows whose turn was before.

        A face that nobody works on may also be one that was taken back since it was found. So what is found a second
        time counts.
        """
        picture = await self.adder.digest_of(found.data)
        await self.adder.gate.aside(self.adder.journal.take_turn(found.row.number, picture))
        if (twice := await self.twice(found.row, found.data, found.uri)) or not self.guard.refuses:
            return twice
        hits = await self._similar(found, ours)
        for again in (False, True):
            if not hits or not (self.guard.alike_tag or self._against(found, hits)):
                return None
            if again:
                break
            later = await self._in_catalogue(self.later, found.row.number, {str(hit.face_id) for hit in hits})
            if not self._against(found, hits := [hit for hit in hits if hit.face_id not in later]):
                return None
            there = {hit.face_id for hit in await self._similar(found, ours)}
            hits = [hit for hit in hits if hit.face_id in there]
        return self._verdict(self._against(found, hits))

    def _verdict(self, against: Doubt | None) -> Verdict | None:
        """What speaks against a face as the row's outcome: its failure, or a note."""
        if against is None:
            return None
        code = against.code if self.guard.refuses else Code.OK
        return Verdict(code, against.message, nearest=against.nearest)

    def _against(self, found: Candidate, hits: Sequence[Hit]) -> Doubt | None:
        return doubt(hits, found.row.tag, self.guard)

    async def twice(self, row: Row, data: bytes, uri: DataUri) -> Verdict | None:
        """Why a row must not import an image: another row of the task or its entry has the very same.

        A face of an entry's earlier import may have been deleted by somebody: then the image is free.

        Args:
            row: the row.
            data: the image.
            uri: the same for the services.
        """
        if not self.guard.same_picture:
            return None
        adder, picture = self.adder, await self.adder.digest_of(data)
        for twin in await self._in_catalogue(self.twins, row, picture):
            if not twin.face_id or await adder.is_there(row, uri, twin.face_id) is not Found.NOT_THERE:
                return self._same_as(twin)
        return None

    async def regained(self, row: Row, held: Holding, data: bytes, uri: DataUri) -> Verdict | None:
        """Give a row its face's picture back, which it had given up for another one; or say who has it by now."""
        picture = await self.adder.digest_of(data)
        known = await self._in_catalogue(self.twins, row, picture)
        if refused := await self.twice(row, data, uri):
            return refused
        twin = await self._in_catalogue(self.regain, row, held, picture, known)
        return self._same_as(twin) if twin else None

    def _same_as(self, twin: Twin) -> Verdict:
        if twin.task_id == self.adder.task_id:
            return Verdict(Code.DUPLICATE_FACE, f"same picture as row {twin.row}")
        return Verdict(Code.DUPLICATE_FACE, f"same picture as row {twin.row} of import {twin.task_id}")

    async def _similar(self, found: Candidate, ours: Collection[str]) -> list[Hit]:
        """The faces of the group that matter for a face, without the row's own."""
        adder = self.adder
        least, most = (0.0, MOST_OF_GROUP) if self.guard.alike_tag else (self.guard.alike, MOST_ALIKE)
        search = partial(adder.library.similar, adder.group, found.uri, found.face, least, most)
        try:
            hits = await adder.outage.call(search)
        except ServiceRefusal as error:
            if error.kind is RefusalKind.GROUP_MISSING and self.dry_run:
                return []
            if error.kind is RefusalKind.GROUP_MISSING:
                adder.refusal(error, found, "")  # raises
            if error.kind is RefusalKind.DENIED:
                raise TaskFailed(
                    f"alike and alike_tag need a face library that searches, and this one refuses to ({error}); "
                    "create the import without them"
                ) from None
            raise
        return [hit for hit in hits if hit.face_id not in ours]

    async def _take_back(self, found: Candidate, face_id: str) -> None:
        """Delete the row's own face; a delete that was not answered gets time to be carried out.

        Its turn goes first: whoever looks from now on need not mind this face, and a next try is later than all others.
        """
        await self._in_catalogue(self.give_up, found.row.number)
        unanswered_at = None

        def failed(error: ServiceUnavailable) -> None:
            nonlocal unanswered_at
            if error.sent:
                unanswered_at = time.monotonic()

        adder = self.adder
        await adder.outage.call(partial(adder.library.delete, adder.group, [face_id]), failed)
        if unanswered_at is not None:
            await self.remover.late(unanswered_at)

    async def _in_catalogue(self, function: Callable[..., T], *args: object) -> T:
        """Call the catalogue in a thread; a row in progress waits as long as it is locked or down."""
        loop = asyncio.get_running_loop()
        call = partial(loop.run_in_executor, self.threads, function, *args)
        return await self.adder.gate.aside(retried(call, OperationalError, wait_for_catalogue))


def _unknown(face_id: str, why: str, reason: Reason) -> Verdict:
    text = f"{why}; the face is in the group as {face_id!r}, and not compared with the others"
    return Verdict(Code.LIBRARY_UNAVAILABLE, text, is_open=True, reason=reason)
