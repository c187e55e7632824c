"""One row's way: fetch, check, detect, limits, pose, limits, blur, add (design decision 9)."""

import asyncio
import errno
import hashlib
import logging
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from face_import import logs
from face_import.catalogue import Holder
from face_import.clients.fetcher import Fetcher
from face_import.clients.services import InfoService, LibraryService
from face_import.clients.transfer import FetchError
from face_import.contract import Code
from face_import.domain.bounds import ImageError
from face_import.domain.identity import made_face_id
from face_import.domain.image import blur_of, check_image, is_small
from face_import.domain.limits import blur_violation, largest, pose_violation, size_violation
from face_import.domain.models import Face, Limits, Measurements, Outcome, Pose, Row, Sent
from face_import.domain.uri import DataUri, display, to_data_uri
from face_import.errors import (
    FaceImportError,
    RefusalKind,
    RowError,
    ServiceError,
    ServiceRefusal,
    ServiceUnavailable,
    TaskFailed,
)
from face_import.pipeline.journal import AddJournal
from face_import.pipeline.outage import Outage
from face_import.pipeline.places import Places

log = logging.getLogger(__name__)
T = TypeVar("T")
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}
"""What the machine lacks, and no row can do anything about."""
_QUALITY = {
    RefusalKind.NO_FACE: Code.NO_FACE,
    RefusalKind.SEVERAL_FACES: Code.NO_FACE,
    RefusalKind.COVERED: Code.NO_FACE,
    RefusalKind.BLUR: Code.BLUR,
}
"""Codes of what the library says of a face; for sizes and poses it takes what was measured."""


_SETTLES_DOUBT = {Code.OK, Code.DUPLICATE_FACE, Code.DUPLICATE_ID}
"""Codes of rows whose add was sent again, so that it is known what an earlier one has done."""


class Verdict(NamedTuple):
    """Why a face was not added.

    Attributes:
        refused: see `Outcome`.
        is_open: whether the face may be in the group all the same.
    """

    code: Code
    message: str
    refused: RefusalKind | None = None
    is_open: bool = False


Added = tuple[str, Verdict | None]
"""The id of a face that is in the group, or why it is not."""


class Candidate(NamedTuple):
    """A face that passed all checks, on its way into the group.

    Attributes:
        row: its row.
        data: the picture.
        uri: the same for the services.
        face: the face.
        measured: what was measured of it.
    """

    row: Row
    data: bytes
    uri: DataUri
    face: Face
    measured: Measurements


@dataclass(frozen=True, slots=True)
class RowImporter:
    """Imports rows of one task; holds what they share.

    Attributes:
        journal: where an add is noted before it is sent.
        holder: who else may have put a face into the group under an id; asked only in doubt.
        threads: where larger images are decoded, off the event loop.
        places: which rows may make calls; a row that decodes leaves its own to another.
    """

    task_id: str
    group: str
    limits: Limits
    max_pixels: int
    fetcher: Fetcher
    info: InfoService
    library: LibraryService
    info_outage: Outage
    library_outage: Outage
    journal: AddJournal
    holder: Callable[[int, str], Holder | None]
    threads: Executor
    places: Places

    async def import_row(self, row: Row) -> Outcome:
        """Take a row its whole way and say what became of it.

        The cheap and the frequent comes first: what cannot be fetched (101) or opened (102) never reaches
        a service, sizes (205, 206) need one call, angles (202-204) a second one, blur (207) a full decode.
        The services get the very bytes that were checked. Whatever else one row's data makes happen is
        that row's outcome too (303): no other row may be kept from being imported by it.

        Raises:
            FaceImportError: the task is in trouble, or the lease: the group is gone, another try has the shard.
            SQLAlchemyError: the catalogue is.
            OSError, MemoryError: the machine is.
        """
        try:
            outcome = await self._outcome(row)
        except (FaceImportError, SQLAlchemyError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _MACHINE:
                raise
            words = f"{type(error).__name__}: {error}"[:300]
            where = "".join(traceback.format_tb(error.__traceback__))  # not the whole text: it may be a picture's
            log.error(  # noqa: TRY400 - as said
                "row cannot be handled %s error=%s\n%s", logs.ids(), words, where
            )
            outcome = Outcome(row.number, display(row.uri), Code.SYSTEM, f"the row cannot be handled ({words})")
        face_id = self._perhaps_added(row)
        if not face_id or outcome.code in _SETTLES_DOUBT or repr(face_id) in outcome.message:
            return outcome
        return replace(outcome, message=f"{outcome.message}; an earlier try may have added it as {face_id!r}")

    def _perhaps_added(self, row: Row) -> str:
        """Id under which an earlier try may have added a row's face, if one may have."""
        if earlier := self.journal.earlier.get(row.number):
            return earlier.face_id
        return sent_of(self.task_id, row).face_id if self.journal.in_doubt and not row.id else ""

    async def _outcome(self, row: Row) -> Outcome:
        """Import a row, and make outcomes of the errors that are meant for it."""
        outcome = partial(Outcome, row.number, display(row.uri))
        if row.problem:
            return outcome(Code.SYSTEM, row.problem)
        if not row.uri:
            return outcome(Code.URI_UNREACHABLE, f"the row has no uri (line {row.line})")
        try:
            return await self._import_good_row(row)
        except (RowError, ServiceError) as error:
            verdict = _verdict(error)
            return outcome(verdict.code, verdict.message, refused=verdict.refused)

    async def _import_good_row(self, row: Row) -> Outcome:
        """Fetch and import a row with a URI."""
        async with self.fetcher.fetched(row.uri) as data:
            return await self._import_image(row, data, self._add)

    async def _import_image(self, row: Row, data: bytes, add: Callable[[Candidate], Awaitable[Added]]) -> Outcome:
        """Check an image, and have its face added if all is well."""
        outcome = partial(Outcome, row.number, display(row.uri))
        await self._decoding(check_image, data, self.max_pixels)
        uri = to_data_uri(data)
        faces = await self.info_outage.call(lambda: self.info.detect(uri))
        if not faces:
            return outcome(Code.NO_FACE, "no face found", measurements=Measurements(faces=0))
        face = largest(faces)
        face_id = ""
        measured, verdict = await self._measure(data, uri, face, len(faces))
        if verdict is None:
            face_id, verdict = await add(Candidate(row, data, uri, face, measured))
        if verdict is not None:
            return outcome(verdict.code, verdict.message, measurements=measured, refused=verdict.refused)
        return outcome(Code.OK, "", face_id, measured)

    async def _measure(self, data: bytes, uri: DataUri, face: Face, faces: int) -> tuple[Measurements, Verdict | None]:
        """Measure a face as far as the limits ask, up to the first one it breaks."""
        limits = self.limits
        measured = Measurements(faces=faces, score=round(face.score, 4), width=face.width, height=face.height)
        violation = size_violation(face, limits)
        if violation is None and limits.need_pose:
            pose: Pose | None = await self.info_outage.call(lambda: self.info.pose(uri, face))
            if pose is not None:
                measured = replace(measured, pitch=pose.pitch, yaw=pose.yaw, roll=pose.roll)
            violation = pose_violation(pose, limits)
        if violation is None and limits.blur_degree:
            blur = await self._decoding(blur_of, data, face.box)
            measured = replace(measured, blur=blur)
            violation = blur_violation(blur, limits)
        return measured, Verdict(*violation) if violation else None

    async def _add(self, found: Candidate) -> Added:
        """Send an add under the row's own id, once that is noted, or one made of task and row number (decision 10)."""
        row = found.row
        if not row.id:
            return await self._send(found, sent_of(self.task_id, row), self.journal.earlier.get(row.number))
        digest = _digest(found.data) if is_small(found.data) else await self._in_thread(_digest, found.data)
        sent = sent_of(self.task_id, row, digest)
        other = await self.places.aside(self.journal.note(sent))
        if other is not None:
            return "", Verdict(Code.DUPLICATE_ID, f"row {other} of the file has the same id {row.id!r}")
        return await self._send(found, sent, self.journal.earlier.get(row.number))

    async def _send(self, found: Candidate, sent: Sent, earlier: Sent | None, *, ours_before: bool = False) -> Added:
        """Send an add, and find out how it ended if the library's answer leaves that open.

        Args:
            found: the face.
            sent: the add.
            earlier: what an earlier try of the row had noted, if there was one.
            ours_before: whether the id was ours before this add: nobody else's record about it counts.
        """
        unanswered = earlier is not None

        async def send() -> str:
            nonlocal unanswered
            try:
                return await self.library.add(
                    self.group, sent.face_id, found.uri, found.row.tag, found.row.description, found.face
                )
            except ServiceUnavailable as error:
                unanswered |= error.sent
                raise

        try:
            return await self.library_outage.call(send), None
        except ServiceUnavailable as error:
            verdict = Verdict(Code.LIBRARY_UNAVAILABLE, str(error))
        except ServiceRefusal as error:
            in_the_way = error.kind in {RefusalKind.ID_EXISTS, RefusalKind.FEATURE_EXISTS}
            if in_the_way and (unanswered or self._may_be_made(found.row, error)):
                return await self._looked(found, sent, earlier, error, unanswered=unanswered, ours_before=ours_before)
            verdict = self._refusal(error, found, sent.face_id)
        if unanswered:
            verdict = verdict._replace(message=f"{verdict.message}; the face may be in the group as {sent.face_id!r}")
        return "", verdict

    def _may_be_made(self, row: Row, error: ServiceRefusal) -> bool:
        """Whether an earlier try of the row, which left no trace here, may have added what stands in the way."""
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
        """Whether the face that stands in the way is the row's own, added by a try whose answer nobody heard.

        The library is asked for the very picture: found under the id it is ours, unless somebody else is on record
        for it. What cannot be proved is said to be open (decision 18).
        """
        own, row = found.row.id, found.row
        there = await self._is_there(row, found.uri, sent.face_id)
        same = earlier is None or earlier.digest == sent.digest
        if there is None and not own and same and error.kind is RefusalKind.ID_EXISTS:
            there = True  # nobody but this row makes this id, and it made it for this picture
        if there and own and not ours_before:
            holder = await self._in_thread(self.holder, row.number, own)
            if holder is not None:
                return "", _held(holder, self.task_id, own)
        if there:
            return sent.face_id, None
        verdict = self._refusal(error, found, sent.face_id)
        if there is None or not same:
            text = f"{verdict.message}; it may be ours, from an add of this row that was not answered"
            verdict = verdict._replace(message=text, is_open=True)
        elif unanswered:
            text = f"{verdict.message}; an add of this row was not answered, and may be carried out late"
            verdict = verdict._replace(message=text)
        return "", verdict

    async def _is_there(self, row: Row, uri: DataUri, face_id: str) -> bool | None:
        """Whether the group has the picture under this id; None if the library cannot tell."""
        labels = row.tag, row.description
        try:
            return await self.library_outage.call(lambda: self.library.holds(self.group, uri, face_id, labels))
        except ServiceError:
            return None

    def _refusal(self, error: ServiceRefusal, found: Candidate, face_id: str) -> Verdict:
        """The code of a library's definite refusal: what it says of the face is what the limits would say."""
        face, text = found.face, f"the face library refuses the face ({error})"
        match error.kind:
            case RefusalKind.GROUP_MISSING:
                raise TaskFailed(
                    f"group {self.group!r} is not in the face library any more ({error}); "
                    "create it there and start the task again"
                )
            case RefusalKind.ID_EXISTS:
                return Verdict(Code.DUPLICATE_ID, f"the group has a face with id {face_id!r} already")
            case RefusalKind.FEATURE_EXISTS:
                return Verdict(Code.DUPLICATE_FACE, f"the group has this face already ({error})")
            case RefusalKind.SIZE:
                return Verdict(Code.WIDTH if face.width <= face.height else Code.HEIGHT, text)
            case RefusalKind.POSE:
                return Verdict(_most_turned(found.measured), text)
            case kind if kind in _QUALITY:
                return Verdict(_QUALITY[kind], text)
            case kind:
                refused = kind if error.unexpected else None
                return Verdict(Code.LIBRARY_UNAVAILABLE, f"library service: {error}", refused)

    async def _decoding(self, function: Callable[..., T], data: bytes, *args: object) -> T:
        """Decode a picture, a small one in the event loop, while the row's place is somebody else's."""
        where = _here if is_small(data) else self._in_thread
        return await self.places.aside(where(function, data, *args))

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *args)


async def _here(function: Callable[..., T], *args: object) -> T:
    """Do it in the event loop, when whoever was given this row's place has made its call."""
    await asyncio.sleep(0)
    return function(*args)


def sent_of(task_id: str, row: Row, digest: bytes = b"") -> Sent:
    """The journal's entry for a row: its own id or the one that we make, and the picture if it is known."""
    return Sent(row.number, row.id or made_face_id(task_id, row.number), digest)


def _verdict(error: RowError | ServiceError) -> Verdict:
    """The code of an error on the way to the add."""
    match error:
        case FetchError():
            return Verdict(Code.URI_UNREACHABLE, str(error))
        case ImageError():
            return Verdict(Code.IMAGE_UNREADABLE, str(error))
        case ServiceRefusal():
            return Verdict(Code.INFO_UNAVAILABLE, f"info service: {error}", error.kind if error.unexpected else None)
        case ServiceUnavailable():
            return Verdict(Code.INFO_UNAVAILABLE, str(error))
        case _:
            return Verdict(Code.SYSTEM, str(error))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _held(holder: Holder, task_id: str, face_id: str) -> Verdict:
    """Who put the face there under this id, or may have."""
    who = f"row {holder.row} of " + ("the file" if holder.task_id == task_id else f"import {holder.task_id}")
    did = "added it" if holder.settled else "was adding it too: it may be ours"
    text = f"the group has a face with id {face_id!r} already; {who} {did}"
    return Verdict(Code.DUPLICATE_ID, text, is_open=not holder.settled)


def _most_turned(measured: Measurements) -> Code:
    """The angle that is the largest; yaw, the most frequent one, if none was measured."""
    angles = {Code.YAW: measured.yaw, Code.PITCH: measured.pitch, Code.ROLL: measured.roll}
    return max(angles, key=lambda code: abs(angles[code] or 0.0))
