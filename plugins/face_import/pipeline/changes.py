"""One row's way in a recurring import of changes only: unchanged rows end after the fetch."""

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial

from face_import.catalogue import Holder, Holdings
from face_import.clients.services import Found
from face_import.contract import Code, Reason
from face_import.domain.image import check_image
from face_import.domain.limits import Violation
from face_import.domain.models import Change, Holding, Measurements, Outcome, Row, Sent
from face_import.domain.recurring import cells_digest, content_digest, face_id_of, row_key
from face_import.domain.uri import display, to_data_uri
from face_import.errors import ServiceRefusal, ServiceUnavailable
from face_import.pipeline.adding import Added, Candidate, Verdict
from face_import.pipeline.removing import Removed, outcome_of
from face_import.pipeline.row import RowImporter

LOOKS = 3
"""How often to look for a face that a late delete may have hit, and to add it again."""


@dataclass(slots=True)
class _Replacement:
    """What is to happen to a row's face.

    Attributes:
        held: the entry's holding for the row, if any.
        now: the holding that is to replace it.
        lost: whether the face of a settled holding was looked for and not found.
        adding: an add of an earlier try that was cut off or left open.
        stale: the face to delete first: one that a settled holding names, or one under a made id.
        delete_in_doubt: whether a delete of the id to add may still be carried out.
    """

    held: Holding | None
    now: Holding
    lost: bool
    adding: Sent | None = field(init=False, default=None)
    stale: str = field(init=False, default="")
    delete_in_doubt: bool = field(init=False, default=False)

    @property
    def ids(self) -> set[str]:
        """Ids under which the group may have a face of the row."""
        held = self.held
        return {self.now.face_id} | ({held.face_id, held.sent_id} if held else set())

    def __post_init__(self) -> None:
        """Read the holding's stage."""
        held, now = self.held, self.now
        if held is None:
            return
        self.delete_in_doubt = held.shaky
        if held.sent_id == now.face_id:
            self.adding = Sent(held.row, held.sent_id, held.sent_digest)
        elif held.sent_id or not self.lost:
            self.stale = held.sent_id or held.face_id
            self.delete_in_doubt |= held.pending and self.stale == now.face_id


@dataclass(frozen=True, kw_only=True)  # no slots: they create a new class, which `super()` would not find
class ChangesImporter(RowImporter):
    """Imports the new and changed rows of a recurring import.

    Attributes:
        entry: name of the recurring import.
        holdings: what it has in the group.
        late_s: seconds that an unanswered delete is given to be carried out.
    """

    entry: str
    holdings: Holdings
    late_s: float

    async def import_row(self, row: Row) -> Outcome:
        """Import a row; one that fails is still in the file, so its old face stays."""
        outcome = await super().import_row(row)
        if outcome.code != Code.OK and (row.id or row.uri):
            await self._in_catalogue(self.holdings.see, row_key(row))
        return outcome

    async def _take_out(self, row: Row, sent: Sent, broken: Verdict) -> Outcome:
        """Remove the row's face, which breaks a limit; then the entry has none, and its next import adds one."""
        key = row_key(row)
        removed = await self._removed_of(key, row, sent)
        outcome = outcome_of(removed, row, sent, broken)
        if outcome.is_open:
            return outcome
        return replace(outcome, holding=Holding(key, "", shaky=removed.shaky))  # not if it is a later import's by now

    async def _removed_of(self, key: bytes, row: Row, sent: Sent) -> Removed:
        """Remove a face if it is still the entry's for this row, and no import has handled the row since."""
        held = await self._in_catalogue(self.holdings.find, key)
        if held is None:  # a later import of the entry has replaced it, and the library refused the new one
            return Removed()
        if (held.task_id, held.row, held.face_id) != (self.adder.task_id, row.number, sent.face_id):
            return Removed(Holder(held.task_id, held.row, settled=True))
        if held.sent_id:
            text = (
                f"an earlier try of the row may have added a face as {held.sent_id!r}; start a new import of the entry"
            )
            return Removed(verdict=Verdict(Code.LIBRARY_UNAVAILABLE, text, is_open=True, reason=Reason.UNAVAILABLE))
        reserve = partial(self.holdings.reserve, key, row.number, was=held.digest, adding=None)
        if not await self._in_catalogue(reserve):
            return await self._removed_of(key, row, sent)
        removed = await self.remover.remove(sent)
        if removed.holder is not None and not removed.holder.settled:
            await self._in_catalogue(self.holdings.keep, key, row.number)
        return removed

    async def _import_good_row(self, row: Row) -> Outcome:
        held = await self._in_catalogue(self.holdings.find, row_key(row))
        cells = cells_digest(row)
        settled = held is not None and not held.pending
        vouched = held is not None and settled and held.cells == cells and not held.shaky and not self._learns(held)
        known = held.validator if held is not None and vouched else ""
        async with self.fetcher.fetched_if_changed(row.uri, known, self.visits.visit(row)) as image:
            if held is not None and image.unchanged:
                digest, picture = held.digest, held.picture
            else:
                digest = await self._in_thread(content_digest, row, image.data)
                picture = await self._picture(held, digest, image.data)
            face_id = face_id_of(self.entry, row, digest)
            now = Holding(row_key(row), face_id, digest, cells, image.validator, picture=picture)
            lost = False
            if held is not None and settled and held.digest == digest:
                now = replace(now, face_id=held.face_id)
                there = await self._is_there(row, image.data, held.face_id) if held.shaky else Found.THERE
                lost = there is Found.NOT_THERE
                if not lost:
                    if refused := await self._returned(row, held, image.data):
                        return refused.outcome(row, Measurements())
                    return await self._unchanged(row, held, replace(now, shaky=there is not Found.THERE))
            replacement = _Replacement(held, now, lost)
            outcome = await self._import_image(row, image.data, partial(self._replace, replacement))
        if outcome.code != Code.OK:
            return outcome
        change = Change.CHANGED if held is not None and held.digest else Change.NEW
        has = replace(now, face_id=outcome.face_id, shaky=replacement.delete_in_doubt)
        return replace(outcome, change=change, holding=has)

    def _learns(self, held: Holding) -> bool:
        """Whether it is to be found out which picture a row has: if that is unknown, or was given up."""
        return bool(self.lookalikes.guard.same_picture) and not held.picture

    async def _picture(self, held: Holding | None, digest: bytes, data: bytes) -> bytes | None:
        """Digest of a row's image, which for an unchanged row is known, or not asked for."""
        if held is not None and held.digest == digest and not self._learns(held):
            return held.picture
        return await self.adder.digest_of(data)

    async def _returned(self, row: Row, held: Holding, data: bytes) -> Verdict | None:
        """Why a row that had given its picture up, and comes back to it, does not get it: another row has it now."""
        if held.picture != b"" or not self.lookalikes.guard.same_picture:
            return None
        image = await self._decoding(check_image, data, self.max_pixels)
        return await self.lookalikes.regained(row, held, data, to_data_uri(image.still))

    async def _is_there(self, row: Row, data: bytes, face_id: str) -> Found:
        """Whether the group has a row's picture under this id, as it would be sent now."""
        image = await self._decoding(check_image, data, self.max_pixels)
        return await self.adder.is_there(row, to_data_uri(image.still), face_id)

    async def _unchanged(self, row: Row, held: Holding, now: Holding) -> Outcome:
        """Keep the row's face: an earlier import's, or this one's if new limits had asked for it and then did not."""
        outcome = partial(Outcome, row.number, display(row.uri))
        if not await self._in_catalogue(self.holdings.confirm, now, row.number):
            return outcome(*await self._taken(row))
        earlier = self.adder.journal.earlier.get(row.number)
        if earlier is not None and earlier.removal is not None and held.task_id == self.adder.task_id:
            return outcome(Code.OK, "", now.face_id, earlier.removal.measured)  # new or changed, and counted, before
        return outcome(Code.OK, "unchanged", now.face_id, change=Change.UNCHANGED)

    async def _replace(self, replacement: _Replacement, found: Candidate) -> Added:
        """Add a face, after deleting the one that is known to be ours.

        Until the outcome is in the ledger, the holding is pending and says how far this went: the next try continues
        from there. What is left open (302, an id that may be ours) stays pending; any other refusal means that the
        library has no face of this row.
        """
        now, row = replacement.now, found.row
        sent = Sent(row.number, now.face_id, now.digest)
        ours = replacement.ids
        if replacement.adding is None and (refused := await self.lookalikes.before(found, ours)):
            if refused.code == Code.DUPLICATE_FACE and replacement.held is not None:
                await self._in_catalogue(self.holdings.give_up_picture, replacement.held)
            return "", refused
        if not await self._in_catalogue(partial(self._reserve, replacement, sent)):
            return "", Verdict(*await self._taken(row))
        try:
            if replacement.stale:
                in_doubt = await self._delete(replacement.stale)
                replacement.delete_in_doubt |= in_doubt and replacement.stale == now.face_id
                adding = partial(self.holdings.adding, now.key, sent, shaky=replacement.delete_in_doubt)
                await self._in_catalogue(adding)
            added, verdict = await self._added(replacement, found, sent)
            if verdict is None:
                added, verdict = await self.lookalikes.after(found, added, ours)
        except ServiceUnavailable as error:
            return "", Verdict(Code.LIBRARY_UNAVAILABLE, str(error), reason=Reason.UNAVAILABLE)
        except ServiceRefusal as error:
            return "", self.adder.refusal(error, found, now.face_id)
        known = verdict is None or verdict.is_open or verdict.code in {Code.OK, Code.LIBRARY_UNAVAILABLE}
        if not known:
            await self._in_catalogue(self.holdings.release, now.key, row.number)
        return added, verdict

    async def _added(self, replacement: _Replacement, found: Candidate, sent: Sent) -> Added:
        """Send an add; it is looked after if a delete may hit it."""
        if self.adder.notes_all and (refused := await self.adder.noted(sent)):
            return "", refused
        had = replacement.held is not None and bool(replacement.held.digest)
        added, verdict = await self.adder.send(found, sent, replacement.adding, ours_before=had)
        if verdict is None and replacement.delete_in_doubt:
            return await self._verified(found, sent)
        return added, verdict

    def _reserve(self, replacement: _Replacement, sent: Sent) -> bool:
        """Claim the row's holding and note the first step; what an earlier try was adding stays noted."""
        was = replacement.held.digest if replacement.held is not None else b""
        first = None if replacement.stale else replacement.adding or sent
        now = replacement.now
        return self.holdings.reserve(now.key, sent.row, was=was, adding=first, picture=now.picture)

    async def _verified(self, found: Candidate, sent: Sent) -> Added:
        """Look for a face that was added after an unanswered delete, and add it again if it is missing.

        A library may carry out an unanswered delete at any time: the holding says so (`shaky`), and the entry's next
        import looks again.
        """
        for _ in range(LOOKS):
            await self.gate.aside(asyncio.sleep(self.late_s))
            if await self.adder.is_there(found.row, found.uri, sent.face_id) is not Found.NOT_THERE:
                return sent.face_id, None
            added, verdict = await self.adder.send(found, sent, sent)
            if verdict is not None:  # whose face is there now is unknown, also to the next run
                return added, verdict._replace(is_open=True)
        text = "the face library does not keep the face"
        return "", Verdict(Code.LIBRARY_UNAVAILABLE, text, is_open=True, reason=Reason.UNAVAILABLE)

    async def _delete(self, face_id: str) -> bool:
        """Delete a face; returns whether an attempt was not answered and may still be carried out."""
        in_doubt = False

        def failed(error: ServiceUnavailable) -> None:
            nonlocal in_doubt
            in_doubt |= error.sent

        await self.adder.outage.call(partial(self.adder.library.delete, self.adder.group, [face_id]), failed)
        return in_doubt

    async def _taken(self, row: Row) -> Violation:
        """Explain which other row already claimed this key."""
        held = await self._in_catalogue(self.holdings.find, row_key(row))
        what = f"id {row.id!r}" if row.id else "uri"
        if held is None or held.task_id == self.adder.task_id:
            return Code.DUPLICATE_ID, f"row {held.row if held else '?'} of the file has the same {what}"
        return Code.DUPLICATE_ID, f"import {held.task_id}, also running, is importing the row with the same {what}"
