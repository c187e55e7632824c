"""One row's way: fetch, check, detect, limits, pose, limits, blur, add (design decision 9)."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from face_import import logs
from face_import.clients.fetcher import Fetcher
from face_import.clients.retrying import retried
from face_import.clients.services import InfoService
from face_import.clients.transfer import MACHINE, FetchError
from face_import.contract import Code, Reason
from face_import.domain.bounds import ImageError, NotAnImage
from face_import.domain.image import ImageInfo, blur_of, check_image, is_small, later_stills
from face_import.domain.limits import Missing, Violation, judge, largest, reason_of
from face_import.domain.models import Face, Limits, Measurements, Outcome, Pose, Row, Scope, Sent
from face_import.domain.uri import DataUri, display, to_data_uri
from face_import.domain.uri_form import hint_on_failure
from face_import.errors import (
    FaceImportError,
    RowError,
    ServiceError,
    ServiceRefusal,
    ServiceUnavailable,
)
from face_import.pipeline.adding import Added, Adder, Candidate, Verdict
from face_import.pipeline.gate import Gate
from face_import.pipeline.journal import wait_for_catalogue
from face_import.pipeline.lookalikes import Lookalikes
from face_import.pipeline.outage import Outage
from face_import.pipeline.removing import Remover, outcome_of
from face_import.pipeline.visits import Visits

log = logging.getLogger(__name__)
T = TypeVar("T")
_ABOUT_THE_URI = {Code.URI_UNREACHABLE, Code.IMAGE_UNREADABLE}
_SETTLES_DOUBT = {Code.OK, Code.DUPLICATE_FACE, Code.DUPLICATE_ID, Code.ALIKE, Code.UNLIKE_TAG}
"""Codes of rows whose add was sent again, which settles how an earlier one ended."""


@dataclass(frozen=True, slots=True)
class RowImporter:
    """Imports rows of one task; holds what they share.

    Attributes:
        scope: how much is measured.
        adder: takes a face that passed all checks into the group.
        lookalikes: keeps it out if it is the wrong one for its tag.
        remover: takes one out of it that does not pass the limits any more.
        threads: where larger images are decoded, off the event loop.
        gate: where a row steps aside while it decodes.
        visits: says whether a row may ask its host, and whether a failure is the host's.
    """

    limits: Limits
    scope: Scope
    max_pixels: int
    fetcher: Fetcher
    info: InfoService
    info_outage: Outage
    adder: Adder
    lookalikes: Lookalikes
    remover: Remover
    threads: Executor
    gate: Gate
    visits: Visits

    async def import_row(self, row: Row) -> Outcome:
        """Import a row and return its outcome.

        Cheap and frequent checks come first: what cannot be fetched (101) or opened (102) never reaches a service,
        the number of faces (208) and sizes (205, 206) need one call, angles (202-204) a second one, blur (207) a full
        decode. The services get exactly the bytes that were checked, or what they were converted to (ADR 26). Whatever
        else a row's data causes is that row's outcome too (303): it must not keep other rows from being imported.

        A row whose face is to be removed is not fetched.

        Raises:
            RowWaits: its host is in trouble; it was set aside.
            FaceImportError: the try cannot continue: the group no longer exists, or another try has the shard.
            SQLAlchemyError: the catalogue fails.
            OSError, MemoryError: the machine lacks memory, disk space or file descriptors.
        """
        if outcome := await self._removed(row):
            return outcome
        outcome = await self._handled(row)
        face_id = self.adder.perhaps_added(row)
        if not face_id or outcome.code in _SETTLES_DOUBT:
            return outcome
        return outcome.in_doubt(face_id)

    async def _handled(self, row: Row) -> Outcome:
        """The outcome of this try, whatever a row's data causes."""
        try:
            return await self._outcome(row)
        except (FaceImportError, SQLAlchemyError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in MACHINE:
                raise
            words = f"{type(error).__name__}: {error}"[:300]
            where = "".join(traceback.format_tb(error.__traceback__))  # without the error's text, which may be long
            log.error(  # noqa: TRY400 - the traceback is in `where`
                "row cannot be handled %s error=%s\n%s", logs.ids(), words, where
            )
            return Outcome(row.number, display(row.uri), Code.SYSTEM, f"the row cannot be handled ({words})")

    async def _removed(self, row: Row) -> Outcome | None:
        """Remove the row's face if the limits are why it is to be removed; None if the row is to be imported.

        Limits may have changed again since: then the face is looked for, or added again, as any that may be there.
        """
        sent = self.adder.journal.earlier.get(row.number)
        if sent is None or sent.removal is None:
            return None
        measured = sent.removal.measured
        found = judge(measured, self.limits)
        if found is None or isinstance(found, Missing):
            if sent.removal.tried:
                await self.remover.late(self.remover.began)
            return None
        return await self._take_out(row, sent, _broken(found, measured))

    async def _take_out(self, row: Row, sent: Sent, broken: Verdict) -> Outcome:
        """Remove the row's face, which breaks a limit."""
        return outcome_of(await self.remover.remove(sent), row, sent, broken)

    async def _outcome(self, row: Row) -> Outcome:
        """Import a row, and turn the errors that are its own into outcomes."""
        outcome = partial(Outcome, row.number, display(row.uri))
        if row.problem:
            return outcome(Code.SYSTEM, row.problem)
        if not row.uri:
            text = f"the row has no uri ({row.place})"
            return outcome(Code.URI_UNREACHABLE, text, reason=Reason.INVALID_URI)
        try:
            return await self._import_good_row(row)
        except (RowError, ServiceError) as error:
            if isinstance(error, FetchError):
                await self.visits.failed(row, error)
            verdict = _verdict(error)
            hint = hint_on_failure(row.uri) if verdict.code in _ABOUT_THE_URI else ""
            message = f"{verdict.message}; {hint}" if hint else verdict.message
            return outcome(verdict.code, message, refused=verdict.refused, reason=verdict.reason)

    async def _import_good_row(self, row: Row) -> Outcome:
        """Fetch and import a row with a URI."""
        async with self.fetcher.fetched(row.uri, self.visits.visit(row)) as data:
            add = self.lookalikes.add if self.lookalikes.needed else self.adder.add
            return await self._import_image(row, data, add)

    async def _import_image(self, row: Row, data: bytes, add: Callable[[Candidate], Awaitable[Added]]) -> Outcome:
        """Check an image and, if it passes, add its face."""
        outcome = partial(Outcome, row.number, display(row.uri))
        image = await self._decoding(check_image, data, self.max_pixels)
        still, uri, faces = await self._found(data, image)
        if not faces:
            return outcome(Code.NO_FACE, "no face found", measurements=Measurements(faces=0))
        face = largest(faces)
        face_id = ""
        measured, verdict = await self._measure(still, uri, face, len(faces))
        if verdict is None:
            face_id, verdict = await add(Candidate(row, data, uri, face, measured))
        if verdict is not None:
            done = verdict.outcome(row, measured, face_id)
        else:
            done = outcome(Code.OK, "", face_id, measured)
        if done.code == Code.OK and self.lookalikes.guard.same_picture:
            return replace(done, picture=await self.adder.digest_of(data))
        return done

    async def _found(self, data: bytes, image: ImageInfo) -> tuple[bytes, DataUri, tuple[Face, ...]]:
        """Detect faces: in the image, or in the first frame of an animation that shows any (ADR 26)."""
        still, uri = image.still, to_data_uri(image.still)
        faces = await self._detected(uri)
        if faces or not image.animated:
            return still, uri, faces
        for still in await self._decoding(later_stills, data, self.max_pixels):
            uri = to_data_uri(still)
            faces = await self._detected(uri)
            if faces:
                break
        return still, uri, faces

    async def _detected(self, uri: DataUri) -> tuple[Face, ...]:
        return await self.info_outage.call(lambda: self.info.detect(uri))

    async def _measure(self, data: bytes, uri: DataUri, face: Face, faces: int) -> tuple[Measurements, Verdict | None]:
        """Measure what the limits need, up to the first limit that the face breaks; or all."""
        measured = Measurements(faces=faces, score=round(face.score, 4), width=face.width, height=face.height)
        if self.scope.measure or self.scope.dry_run:
            for kind in (Missing.POSE, Missing.BLUR):
                with suppress(ServiceRefusal):  # a limit that needs it will ask again
                    measured = await self._more(measured, kind, data, uri, face)
        while isinstance(found := judge(measured, self.limits), Missing):
            measured = await self._more(measured, found, data, uri, face)
        return measured, None if found is None else _broken(found, measured)

    async def _more(
        self, measured: Measurements, missing: Missing, data: bytes, uri: DataUri, face: Face
    ) -> Measurements:
        """Measure what is missing: the pose takes a second call, blur a full decode."""
        if missing is Missing.BLUR:
            return replace(measured, blur=await self._decoding(blur_of, data, face.box))
        pose: Pose | None = await self.info_outage.call(lambda: self.info.pose(uri, face))
        if pose is None:
            return replace(measured, pose_unknown=True)
        return replace(measured, pitch=pose.pitch, yaw=pose.yaw, roll=pose.roll)

    async def _decoding(self, function: Callable[..., T], data: bytes, *args: object) -> T:
        """Decode an image, a small one in the event loop, while another row may use this row's slot."""
        where = _here if is_small(data) else self._in_thread
        return await self.gate.aside(where(function, data, *args))

    async def _in_catalogue(self, function: Callable[..., T], *args: object) -> T:
        """Call the catalogue in a thread; a row in progress waits as long as it is locked or down."""
        call = partial(_to_its_end, self.threads, partial(function, *args))
        return await retried(call, OperationalError, wait_for_catalogue)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *args)


async def _to_its_end(threads: Executor, function: Callable[[], T]) -> T:
    """Wait for a thread's call even if the row is cut off: it must not come after what the next try writes."""
    call = asyncio.get_running_loop().run_in_executor(threads, function)
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait({call})
        raise


async def _here(function: Callable[..., T], *args: object) -> T:
    """Call a function in the event loop, after the row that got this row's slot has sent its request."""
    await asyncio.sleep(0)
    return function(*args)


def _broken(limit: Violation, measured: Measurements) -> Verdict:
    return Verdict(*limit, reason=reason_of(limit[0], measured))


def _verdict(error: RowError | ServiceError) -> Verdict:
    """The verdict for an error before the add."""
    match error:
        case FetchError():
            came = error.reason is Reason.NOT_AN_IMAGE
            code = Code.IMAGE_UNREADABLE if came else Code.URI_UNREACHABLE
            return Verdict(code, str(error), reason=error.reason)
        case NotAnImage():
            return Verdict(Code.IMAGE_UNREADABLE, str(error), reason=Reason.NOT_AN_IMAGE)
        case ImageError():
            return Verdict(Code.IMAGE_UNREADABLE, str(error), reason=Reason.UNREADABLE_IMAGE)
        case ServiceRefusal():
            refused = error.kind if error.unexpected else None
            return Verdict(Code.INFO_UNAVAILABLE, f"info service: {error}", refused, reason=Reason.REFUSED)
        case ServiceUnavailable():
            return Verdict(Code.INFO_UNAVAILABLE, str(error), reason=Reason.UNAVAILABLE)
        case _:
            return Verdict(Code.SYSTEM, str(error))
