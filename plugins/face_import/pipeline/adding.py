"""Adding a face to the group, and finding out how an add ended if the library's answer leaves that open (ADR 20)."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from face_import.catalogue import Holder
from face_import.clients.services import Found, LibraryService
from face_import.contract import Code, Reason
from face_import.domain.identity import made_face_id, maker_of
from face_import.domain.image import is_small
from face_import.domain.models import Face, Measurements, Nearest, Outcome, Row, Sent
from face_import.domain.uri import DataUri, display
from face_import.errors import RefusalKind, ServiceError, ServiceRefusal, ServiceUnavailable, TaskFailed
from face_import.pipeline.gate import Gate
from face_import.pipeline.journal import AddJournal
from face_import.pipeline.outage import Outage

T = TypeVar("T")
_QUALITY = {
    RefusalKind.NO_FACE: Code.NO_FACE,
    RefusalKind.SEVERAL_FACES: Code.SEVERAL_FACES,
    RefusalKind.COVERED: Code.NO_FACE,
    RefusalKind.BLUR: Code.BLUR,
}
"""Codes for what the library says about a face; for size and pose they depend on the measurements."""


class Verdict(NamedTuple):
    """Why a face was not added, or (code 0) what was noticed about one that was.

    Attributes:
        refused: see `Outcome`.
        is_open: whether the face may be in the group nevertheless.
        reason: see `Outcome`.
        nearest: see `Outcome`.
    """

    code: Code
    message: str
    refused: RefusalKind | None = None
    is_open: bool = False
    reason: Reason | None = None
    nearest: Nearest | None = None

    def outcome(self, row: Row, measured: Measurements, face_id: str = "") -> Outcome:
        """The outcome of a row with this verdict; its face has an id if it is in the group."""
        return Outcome(
            row.number,
            display(row.uri),
            self.code,
            self.message,
            face_id,
            measured,
            refused=self.refused,
            reason=self.reason,
            is_open=self.is_open,
            nearest=self.nearest,
        )


Added = tuple[str, Verdict | None]
"""The id of a face that is in the group, with what was noticed about it if anything, or why it is not there."""


class Candidate(NamedTuple):
    """A face that passed all checks, about to be added to the group.

    Attributes:
        row: its row.
        data: the image.
        uri: the same as a data URI, for the services.
        face: the face.
        measured: its measurements.
    """

    row: Row
    data: bytes
    uri: DataUri
    face: Face
    measured: Measurements


@dataclass(frozen=True, slots=True)
class Adder:
    """Adds faces to the group of one task.

    Attributes:
        journal: where an add under a row's own id is noted before it is sent.
        notes_all: whether adds under made ids are noted, too: whether the import is guarded (`pipeline.lookalikes`).
        holder: who else may have added a face under an id; asked only in doubt.
        threads: where large images are hashed, and the catalogue is queried.
        gate: where a row steps aside while it waits for the journal.
    """

    task_id: str
    group: str
    library: LibraryService
    outage: Outage
    journal: AddJournal
    notes_all: bool
    holder: Callable[[int, str], Holder | None]
    threads: Executor
    gate: Gate

    def perhaps_added(self, row: Row) -> str:
        """The id under which an earlier try may have added a row's face; empty if none can have."""
        if earlier := self.journal.earlier.get(row.number):
            return earlier.face_id
        unnoted = self.journal.in_doubt and not row.id and not self.notes_all
        return sent_of(self.task_id, row).face_id if unnoted else ""

    def id_of(self, row: Row) -> str:
        """The id that a row's face gets: its own, or a made one."""
        return row.id or made_face_id(self.task_id, row.number)

    async def add(self, found: Candidate) -> Added:
        """Add a face under the row's own id, once that is noted, or under a made id (decision 10)."""
        row = found.row
        if not row.id and not self.notes_all:
            return await self.send(found, sent_of(self.task_id, row), self.journal.earlier.get(row.number))
        sent = sent_of(self.task_id, row, await self.digest_of(found.data))
        if refused := await self.noted(sent):
            return "", refused
        return await self.send(found, sent, self.journal.earlier.get(row.number))

    async def digest_of(self, data: bytes) -> bytes:
        """Digest of an image's bytes, as the journal has it."""
        return _digest(data) if is_small(data) else await self._in_thread(_digest, data)

    async def noted(self, sent: Sent) -> Verdict | None:
        """Note an add; returns why it must not be sent, if so."""
        holder = await self.gate.aside(self.journal.note(sent))
        return None if holder is None else _claimed(holder, self.task_id, sent.face_id)

    async def send(self, found: Candidate, sent: Sent, earlier: Sent | None, *, ours_before: bool = False) -> Added:
        """Send an add, and find out how it ended if the library's answer leaves that open.

        Args:
            found: the face.
            sent: the add.
            earlier: what an earlier try of the row noted, if anything.
            ours_before: whether the id was ours before this add, so that records of others do not count.
        """
        unanswered = earlier is not None

        def failed(error: ServiceUnavailable) -> None:
            nonlocal unanswered
            unanswered |= error.sent

        row = found.row
        add = partial(self.library.add, self.group, sent.face_id, found.uri, row.tag, row.description, found.face)
        try:
            return await self.outage.call(add, failed), None
        except ServiceUnavailable as error:
            verdict = Verdict(Code.LIBRARY_UNAVAILABLE, str(error), reason=Reason.UNAVAILABLE)
        except ServiceRefusal as error:
            in_the_way = error.kind in {RefusalKind.ID_EXISTS, RefusalKind.FEATURE_EXISTS}
            if in_the_way and (unanswered or self._may_be_made(found.row, error)):
                return await self._looked(found, sent, earlier, error, unanswered=unanswered, ours_before=ours_before)
            verdict = self.refusal(error, found, sent.face_id)
        if unanswered:
            verdict = verdict._replace(message=f"{verdict.message}; the face may be in the group as {sent.face_id!r}")
        return "", verdict

    def _may_be_made(self, row: Row, error: ServiceRefusal) -> bool:
        """Whether an earlier try of the row that noted nothing may have added the face that is in the way."""
        return not row.id and (error.kind is RefusalKind.ID_EXISTS or self.journal.in_doubt)

    async def _looked(  # noqa: PLR0913 - all that is known of an add
        self,
        found: Candidate,
        sent: Sent,
        earlier: Sent | None,
        error: ServiceRefusal,
        *,
        unanswered: bool,
        ours_before: bool,
    ) -> Added:
        """Whether the face that is in the way is the row's own, added by a try that never got the answer.

        The library is asked for the very image: if it is found under the id, it is ours, unless another row or import
        is on record for that id. What cannot be proved is reported as open (decision 18).
        """
        row = found.row
        there = await self.is_there(row, found.uri, sent.face_id)
        # A face that was to be removed had been added on record; of which picture is not noted, but the search tells.
        was_ours = earlier is not None and earlier.removal is not None
        same = earlier is None or was_ours or earlier.digest == sent.digest
        # Only this row can have used a made id, if its add was sent; maybe with another image.
        was_sent = unanswered or self.journal.in_doubt
        is_made = was_sent and not row.id and error.kind is RefusalKind.ID_EXISTS
        if is_made and there is Found.UNKNOWN:  # without search
            there = Found.THERE
        if there is Found.THERE and same:
            holder = None if ours_before else await self._in_thread(self.holder, row.number, sent.face_id)
            return (sent.face_id, None) if holder is None else ("", _held(holder, self.task_id, sent.face_id))
        verdict = self.refusal(error, found, sent.face_id)
        if there is not Found.NOT_THERE or not same or is_made or was_ours:
            came = "which this row had added" if was_ours else "from an add of this row that was not answered"
            verdict = verdict._replace(message=f"{verdict.message}; it may be ours, {came}", is_open=True)
        elif unanswered:
            text = f"{verdict.message}; an add of this row was not answered, and may be carried out late"
            verdict = verdict._replace(message=text)
        return "", verdict

    async def is_there(self, row: Row, uri: DataUri, face_id: str) -> Found:
        """Whether the group has a row's image under this id."""
        labels = row.tag, row.description
        try:
            return await self.outage.call(lambda: self.library.holds(self.group, uri, face_id, labels))
        except ServiceError:
            return Found.UNKNOWN

    def refusal(self, error: ServiceRefusal, found: Candidate, face_id: str) -> Verdict:
        """The verdict for a library's definite refusal; one about the face gets the code of the matching limit."""
        face, text = found.face, f"the face library refuses the face ({error})"
        match error.kind:
            case RefusalKind.GROUP_MISSING:
                raise TaskFailed(
                    f"group {self.group!r} is no longer in the face library ({error}); "
                    "create it there and start the task again"
                )
            case RefusalKind.ID_EXISTS:
                return Verdict(Code.DUPLICATE_ID, f"the group has a face with id {face_id!r} already")
            case RefusalKind.FEATURE_EXISTS:
                return Verdict(Code.DUPLICATE_FACE, f"the group has this face already ({error})")
            case RefusalKind.SIZE:
                code = Code.WIDTH if face.width <= face.height else Code.HEIGHT
                return Verdict(code, text, reason=Reason.REFUSED)
            case RefusalKind.POSE:
                return Verdict(_most_turned(found.measured), text, reason=Reason.REFUSED)
            case kind if kind in _QUALITY:
                return Verdict(_QUALITY[kind], text, reason=Reason.REFUSED)
            case kind:
                refused = kind if error.unexpected else None
                text = f"library service: {error}"
                return Verdict(Code.LIBRARY_UNAVAILABLE, text, refused, reason=Reason.REFUSED)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *args)


class NoAdder(Adder):
    """Adds nothing: a dry run ends where a face would be added."""

    def perhaps_added(self, row: Row) -> str:  # noqa: D102, ARG002
        return ""

    async def add(self, found: Candidate) -> Added:  # noqa: D102, ARG002
        return "", None


def sent_of(task_id: str, row: Row, digest: bytes = b"") -> Sent:
    """The journal's entry for a row: its own or made id, and the image's digest if known."""
    return Sent(row.number, row.id or made_face_id(task_id, row.number), digest)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _claimed(holder: Holder, task_id: str, face_id: str) -> Verdict:
    """The verdict for an own id that another row or import has: the add is not sent."""
    if maker_of(face_id) == (holder.task_id, holder.row):
        text = f"{face_id!r} is the id that import {holder.task_id} makes for its row {holder.row}"
    elif holder.task_id != task_id:
        text = f"row {holder.row} of import {holder.task_id} is to remove its face with the same id {face_id!r}"
    else:
        text = f"row {holder.row} of the file has the same id {face_id!r}"
    return Verdict(Code.DUPLICATE_ID, text)


def _held(holder: Holder, task_id: str, face_id: str) -> Verdict:
    """The verdict for a face that another row added under this id, or may have added."""
    who = f"row {holder.row} of " + ("the file" if holder.task_id == task_id else f"import {holder.task_id}")
    did = "added it" if holder.settled else "was adding it too: it may be ours"
    text = f"the group has a face with id {face_id!r} already; {who} {did}"
    return Verdict(Code.DUPLICATE_ID, text, is_open=not holder.settled)


def _most_turned(measured: Measurements) -> Code:
    """The angle that is the largest; yaw, the most frequent one, if none was measured."""
    angles = {Code.YAW: measured.yaw, Code.PITCH: measured.pitch, Code.ROLL: measured.roll}
    return max(angles, key=lambda code: abs(angles[code] or 0.0))
