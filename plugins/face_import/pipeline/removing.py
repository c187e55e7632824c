"""Removing a face that an import has added, and no face that another one has put under its id since (ADR 32)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from face_import.catalogue import Holder
from face_import.clients.services import LibraryService
from face_import.contract import Code, Reason
from face_import.domain.models import Measurements, Outcome, Row, Sent
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable
from face_import.pipeline.adding import Verdict
from face_import.pipeline.gate import Gate
from face_import.pipeline.outage import Outage


class Removed(NamedTuple):
    """What became of a face that was to be removed; it is gone unless one of the first two says otherwise.

    Attributes:
        holder: who has the id now, so that the face was left alone.
        verdict: why the face may still be there.
        shaky: whether a delete was not answered. It had time to be carried out, and most likely will not be any more.
    """

    holder: Holder | None = None
    verdict: Verdict | None = None
    shaky: bool = False


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes faces from a group during one try at a shard.

    Attributes:
        gate: where a row steps aside while it waits.
        note: notes a delete before it is sent, or says who has the id now (`AddJournal.note`). From then on until the
            row's outcome no other import adds a face under it.
        late_s: seconds that an unanswered delete is given to be carried out.
        began: when the try began, by the monotonic clock: deletes of earlier tries were sent before.
    """

    group: str
    library: LibraryService
    outage: Outage
    gate: Gate
    note: Callable[[Sent], Awaitable[Holder | None]]
    late_s: float
    began: float = field(default_factory=time.monotonic)

    async def remove(self, sent: Sent) -> Removed:
        """Delete a face, and wait until no delete of its id can be carried out any more.

        Until then the row may not be settled: a late delete would hit what somebody adds under the id afterwards.

        Args:
            sent: the journal's entry, with its `removal`.

        Raises:
            LeaseLost: another try owns the shard.
            SQLAlchemyError: the catalogue fails; while it is unavailable or locked, this waits.
        """
        holder = await self.gate.aside(self.note(sent))
        if holder is not None:
            return Removed(holder)
        unanswered_at = self.began if sent.removal and sent.removal.tried else None

        def failed(error: ServiceUnavailable) -> None:
            nonlocal unanswered_at
            if error.sent:
                unanswered_at = time.monotonic()

        verdict = None
        try:
            await self.outage.call(partial(self.library.delete, self.group, [sent.face_id]), failed)
        except ServiceUnavailable as error:
            verdict = _open(str(error), Reason.UNAVAILABLE)
        except ServiceRefusal as error:
            verdict = _refusal(error)
        if unanswered_at is not None:
            await self.late(unanswered_at)
        return Removed(None, verdict, unanswered_at is not None)

    async def late(self, sent_at: float) -> None:
        """Wait until a delete that was sent at this time by the monotonic clock cannot be carried out any more."""
        await self.gate.aside(asyncio.sleep(max(0.0, sent_at + self.late_s - time.monotonic())))


def _refusal(error: ServiceRefusal) -> Verdict | None:
    """Why a face may still be there; a group that no longer exists has none."""
    if error.kind is RefusalKind.GROUP_MISSING:
        return None
    verdict = _open(f"library service: {error}", Reason.REFUSED)
    return verdict._replace(refused=error.kind if error.unexpected else None)


def outcome_of(removed: Removed, row: Row, sent: Sent, broken: Verdict) -> Outcome:
    """The outcome of a row whose face was to be removed since it breaks a limit.

    A face that is somebody else's now stays; while that is not clear, the row is open.
    """
    verdict = removed.verdict or broken
    if removed.holder is not None:
        who = f"row {removed.holder.row} of import {removed.holder.task_id}"
        if removed.holder.settled:
            text = f"{broken.message}; the face with id {sent.face_id!r} is that of {who} now, and stays"
            verdict = broken._replace(message=text)
        else:
            text = f"{broken.message}, but {who} may have added another face with id {sent.face_id!r}: retry later"
            verdict = Verdict(Code.DUPLICATE_ID, text, is_open=True)
    measured = sent.removal.measured if sent.removal is not None else Measurements()
    return replace(verdict.outcome(row, measured), removed=not verdict.is_open)


def _open(text: str, reason: Reason) -> Verdict:
    text = f"the face was to be removed and may be in the group still: {text}"
    return Verdict(Code.LIBRARY_UNAVAILABLE, text, is_open=True, reason=reason)
