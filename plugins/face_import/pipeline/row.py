"""One row's way: fetch, check, detect, limits, pose, limits, blur, add (design decision 9)."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from face_import.clients.fetcher import Fetcher
from face_import.clients.services import InfoService, LibraryService
from face_import.clients.transfer import FetchError
from face_import.contract import Code
from face_import.domain.bounds import ImageError
from face_import.domain.image import blur_of, check_image, is_small
from face_import.domain.limits import blur_violation, largest, pose_violation, size_violation
from face_import.domain.models import Face, Limits, Measurements, Outcome, Pose, Row
from face_import.domain.uri import DataUri, display, to_data_uri
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable, TaskFailed
from face_import.pipeline.outage import Outage
from face_import.pipeline.places import Places

T = TypeVar("T")
Verdict = tuple[Code, str]
Add = Callable[[DataUri, Face], Awaitable[tuple[str, Verdict | None]]]
"""Adds a face that passed all checks; returns its id, or why it was not added."""


@dataclass(frozen=True, slots=True)
class RowImporter:
    """Imports rows of one task; holds what they share.

    Attributes:
        id_taken: whether another row of the task was added under this face id; asked only after a crash.
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
    id_taken: Callable[[str], bool]
    threads: Executor
    places: Places

    async def import_row(  # noqa: PLR0911 - a return for each end of the way
        self, row: Row, *, doubtful: bool = False
    ) -> Outcome:
        """Take a row its whole way and say what became of it.

        The cheap and the frequent comes first: what cannot be fetched (101) or opened (102) never reaches
        a service, sizes (205, 206) need one call, angles (202-204) a second one, blur (207) a full decode.
        The services get the very bytes that were checked.

        Args:
            row: the row.
            doubtful: an earlier try that died may have added it.

        Raises:
            TaskFailed: the group is gone; no row of the task can be added any more.
        """
        outcome = partial(Outcome, row.number, display(row.uri))
        if row.problem:
            return outcome(Code.SYSTEM, row.problem)
        if not row.uri:
            return outcome(Code.URI_UNREACHABLE, f"the row has no uri (line {row.line})")
        try:
            return await self._import_good_row(row, doubtful=doubtful)
        except FetchError as error:
            return outcome(Code.URI_UNREACHABLE, str(error))
        except ImageError as error:
            return outcome(Code.IMAGE_UNREADABLE, str(error))
        except ServiceUnavailable as error:
            return outcome(Code.INFO_UNAVAILABLE, str(error))
        except ServiceRefusal as error:
            return outcome(Code.INFO_UNAVAILABLE, f"info service: {error}")

    async def _import_good_row(self, row: Row, *, doubtful: bool) -> Outcome:
        """Fetch and import a row with a URI."""
        async with self.fetcher.fetched(row.uri) as data:
            return await self._import_image(row, data, partial(self._add, row, doubtful=doubtful))

    async def _import_image(self, row: Row, data: bytes, add: Add) -> Outcome:
        """Check an image, and have its face added if all is well."""
        outcome = partial(Outcome, row.number, display(row.uri))
        await self._decoding(check_image, data, self.max_pixels)
        uri = to_data_uri(data)
        faces = await self.info_outage.call(lambda: self.info.detect(uri))
        if not faces:
            return outcome(Code.NO_FACE, "no face found", measurements=Measurements(faces=0))
        face = largest(faces)
        measured, verdict = await self._measure(data, uri, face, len(faces))
        if verdict is None:
            face_id, verdict = await add(uri, face)
        if verdict is not None:
            return outcome(*verdict, measurements=measured)
        return outcome(Code.OK, "", face_id, measured)

    async def _measure(self, data: bytes, uri: DataUri, face: Face, faces: int) -> tuple[Measurements, Verdict | None]:
        """Measure a face as far as the limits ask, up to the first one it breaks."""
        limits = self.limits
        measured = Measurements(faces=faces, score=round(face.score, 4), width=face.width, height=face.height)
        verdict = size_violation(face, limits)
        if verdict is None and limits.need_pose:
            pose: Pose | None = await self.info_outage.call(lambda: self.info.pose(uri, face))
            if pose is not None:
                measured = replace(measured, pitch=pose.pitch, yaw=pose.yaw, roll=pose.roll)
            verdict = pose_violation(pose, limits)
        if verdict is None and limits.blur_degree:
            blur = await self._decoding(blur_of, data, face.box)
            measured = replace(measured, blur=blur)
            verdict = blur_violation(blur, limits)
        return measured, verdict

    async def _add(self, row: Row, uri: DataUri, face: Face, *, doubtful: bool) -> tuple[str, Verdict | None]:
        """Add the face under the row's own id or one made from task and row number (design decision 10)."""
        face_id = row.id or f"{self.task_id}-{row.number}"
        perhaps_sent = doubtful

        async def send() -> str:
            nonlocal perhaps_sent
            try:
                return await self.library.add(self.group, face_id, uri, row.tag, row.description, face)
            except ServiceUnavailable as error:
                perhaps_sent |= error.sent
                raise

        try:
            return await self.library_outage.call(send) or face_id, None
        except ServiceUnavailable as error:
            return "", (Code.LIBRARY_UNAVAILABLE, str(error))
        except ServiceRefusal as error:
            if await self._is_ours(error.kind, row, face_id, perhaps_sent=perhaps_sent, doubtful=doubtful):
                return face_id, None
            return "", self._refusal(error, face_id)

    async def _is_ours(self, kind: RefusalKind, row: Row, face_id: str, *, perhaps_sent: bool, doubtful: bool) -> bool:
        """Whether a duplicate is the face that an earlier attempt at this very row has added."""
        if kind is RefusalKind.ID_EXISTS and not row.id:
            return True
        if kind not in {RefusalKind.ID_EXISTS, RefusalKind.FEATURE_EXISTS} or not perhaps_sent:
            return False
        return not (doubtful and row.id and await self._in_thread(self.id_taken, face_id))

    def _refusal(self, error: ServiceRefusal, face_id: str) -> Verdict:
        match error.kind:
            case RefusalKind.GROUP_MISSING:
                raise TaskFailed(
                    f"group {self.group!r} is not in the face library any more ({error}); "
                    "create it there and start the task again"
                )
            case RefusalKind.ID_EXISTS:
                return Code.DUPLICATE_ID, f"the group has a face with id {face_id!r} already"
            case RefusalKind.FEATURE_EXISTS:
                return Code.DUPLICATE_FACE, f"the group has this face already ({error})"
            case RefusalKind.NO_FACE:
                return Code.NO_FACE, f"the face library found no face ({error})"
            case _:
                return Code.LIBRARY_UNAVAILABLE, f"library service: {error}"

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
