"""The face info service and the face library service, as the pipeline sees them: faces, poses, ids.

The wire format is that of `docs/reference/face-services.md`. Bodies are assembled as text: the image in them is
base64, which needs no escaping in JSON, and `json.dumps` would scan every character of it.
"""

import json
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple
from urllib.parse import quote

from face_import.clients.http import JsonService, malformed, refusal
from face_import.domain.likeness import Hit, of_face
from face_import.domain.models import Face, Pose
from face_import.domain.uri import DataUri
from face_import.errors import MalformedAnswer, RefusalKind, ServiceRefusal, ServiceUnavailable
from face_import.settings import PoseAngle, Settings

MOST_COORDINATE, MOST_ANGLE, MOST_SCORE = 1e6, 1e4, 1e6
"""A larger number cannot be a measurement of an image, and computing with it might fail."""
SAME_PICTURE = 0.95
"""Score from which a search has found the very image: the library gives that one 1, and other images of the same person
less."""
MOST_HITS = 100
MOST_FACES = 1000
MOST_IN_GROUP = 2**53
"""A larger number of faces cannot be one, and might not be shown exactly."""
_ABSENT = re.compile(r"\bnot (exist|found)|\bno such\b", re.IGNORECASE)


class Found(Enum):
    """What a library's search says about an image and an id."""

    THERE = "the very image, under this id, with these labels"
    OTHER_LABELS = "the very image, under this id, with another tag or description"
    NOT_THERE = "not under this id"
    UNKNOWN = "the library does not search, or finds too many"


class GroupSize(NamedTuple):
    """What a library says about a group; None for what it does not say.

    Attributes:
        faces: number of faces.
        tags: number of different tags.
        capacity: most faces that it takes; 0 for any number.
    """

    faces: int | None
    tags: int | None
    capacity: int | None


class InfoService(JsonService):
    """Finds the faces in an image and measures their pose. An async context manager.

    All methods raise `ServiceUnavailable` when there is no usable answer and `ServiceRefusal` for a
    definite one that is not a success, with the service's own text.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("info service", settings.info_service, settings.service_timeout_s, settings.ca_file)
        self._pose_order: tuple[PoseAngle, ...] = settings.pose_order

    async def detect(self, image: DataUri) -> tuple[Face, ...]:
        """Return the faces in an image, in the service's order; empty if there are none."""
        result = _result(await self._post("/v1/eval/facex-detect", f'{{"data": {{"uri": "{image}"}}}}'))
        detections = result.get("detections") or []
        if not isinstance(detections, list) or len(detections) > MOST_FACES:
            raise malformed(f"detections is not a list of at most {MOST_FACES}")
        return tuple(_face(detection) for detection in detections)

    async def pose(self, image: DataUri, face: Face) -> Pose | None:
        """Return the head pose of a face of `detect`, in degrees; None if it could not be measured."""
        body = f'{{"data": {{"uri": "{image}", "attribute": {{"detections": [{{"pts": {_pts(face)}}}]}}}}}}'
        result = _result(await self._post("/v1/eval/facex-pose", body))
        landmarks = result.get("landmarks") or []
        if not isinstance(landmarks, list) or not all(isinstance(entry, dict) for entry in landmarks[:1]):
            raise malformed("landmarks is not a list of objects")
        angles = landmarks[0].get("pos") if landmarks else None
        if not angles:
            return None
        if not isinstance(angles, list) or len(angles) != 3:
            raise malformed("pos is not three angles")
        measured = (_number(angle, MOST_ANGLE) for angle in angles)
        return Pose(**dict(zip(self._pose_order, measured, strict=True)))


class LibraryService(JsonService):
    """The face groups. An async context manager; raises as `InfoService` does."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("library service", settings.library_service, settings.service_timeout_s, settings.ca_file)

    async def ensure_group(self, group: str, capacity: int) -> None:
        """Create a group for at most `capacity` faces; an existing one is left unchanged."""
        try:
            await self._post(_path(group), f'{{"config": {{"capacity": {capacity:d}}}}}')
        except ServiceRefusal as error:
            if error.kind is not RefusalKind.GROUP_EXISTS and "already exist" not in str(error).lower():
                raise

    async def add(  # noqa: PLR0913, PLR0917 - the fields of one face, as the service names them
        self, group: str, face_id: str, image: DataUri, tag: str, description: str, face: Face
    ) -> str:
        """Add a face to a group and return its id.

        Args:
            group: name of the group.
            face_id: the id to give it; empty lets the service choose.
            image: the image.
            tag: a short text kept with the face.
            description: a longer one.
            face: which face of the image, as `InfoService.detect` returned it.

        Raises:
            ServiceRefusal: its `kind` says why the face is refused.
            ServiceUnavailable: `sent` says whether the face may be in the group nevertheless.
        """
        echoes = (face_id, tag, description)
        try:
            answer = await self._post(
                f"{_path(group)}/add",
                f'{{"image": {{"id": {json.dumps(face_id)}, "uri": "{image}", "tag": {json.dumps(tag)}, '
                f'"desc": {json.dumps(description)}, "bounding_box": {{"pts": {_pts(face)}}}}}, '
                f'"params": {{"reject_bad_face": false}}}}',
                echoes,
            )
        except MalformedAnswer as error:
            raise ServiceUnavailable(f"{self._name}: {error}") from None
        if answer.get("error"):
            raise refusal(str(answer["error"]), echoes)
        added = answer.get("id")
        if not isinstance(added, str) or not added or added != (face_id or added):
            raise ServiceUnavailable(f"{self._name}: it does not say that it has added the face: {str(added)[:40]!r}")
        return added

    async def holds(self, group: str, image: DataUri, face_id: str, labels: tuple[str, str]) -> Found:
        """Whether a group has this very image under an id, by the library's search.

        Args:
            group: name of the group.
            image: the image.
            face_id: the id.
            labels: tag and description that the face was given.

        Returns:
            The result of the search.

        Raises:
            ServiceUnavailable: no usable answer.
        """
        try:
            hits = [hit for _, found in await self._search(group, image, SAME_PICTURE, MOST_HITS) for hit in found]
        except ServiceRefusal:
            return Found.UNKNOWN
        given = [(hit.tag, hit.description) for hit in hits if hit.face_id == face_id and hit.score >= SAME_PICTURE]
        if not given:
            return Found.UNKNOWN if len(hits) >= MOST_HITS else Found.NOT_THERE
        same = any(all(x in {None, y} for x, y in zip(g, labels, strict=True)) for g in given)
        return Found.THERE if same else Found.OTHER_LABELS

    async def similar(self, group: str, image: DataUri, face: Face, least: float, most: int) -> list[Hit]:
        """The faces of a group that are most similar to one face of an image, by the library's search.

        Args:
            group: name of the group.
            image: the image.
            face: which of its faces, as `InfoService.detect` returned it.
            least: score, 0 to 1, from which faces are found.
            most: how many at most.
        """
        return of_face(face, await self._search(group, image, least, most))

    async def _search(self, group: str, image: DataUri, least: float, most: int) -> list[tuple[Face | None, list[Hit]]]:
        """What a search finds for each face of an image, whose position is None if the library does not say it."""
        body = f'{{"images": ["{image}"], "threshold": {least!r}, "limit": {most:d}}}'
        return _found(await self._post(f"{_path(group)}/search", body))

    async def size(self, group: str) -> GroupSize:
        """How large a group is."""
        answer = await self._get(_path(group))
        config = answer.get("config")
        capacity = config.get("capacity") if isinstance(config, dict) else None
        return GroupSize(_count(answer.get("count")), _count(answer.get("tags")), _count(capacity))

    async def delete(self, group: str, face_ids: Sequence[str]) -> None:
        """Delete faces from a group; unknown ids are not an error."""
        try:
            answer = await self._post(f"{_path(group)}/delete", json.dumps({"ids": list(face_ids)}), face_ids)
            if answer.get("error"):
                raise refusal(str(answer["error"]), face_ids)
        except ServiceRefusal as error:
            if error.kind is RefusalKind.GROUP_MISSING or not _ABSENT.search(str(error)):
                raise


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the `result` of an info service's answer; `code` other than 0 is a refusal also under HTTP 200."""
    if answer.get("code") or 0:
        raise refusal(str(answer.get("message") or f"code {answer['code']}"))
    result = answer.get("result") or {}
    if not isinstance(result, dict):
        raise malformed("result is not an object")
    return result


def _found(answer: dict[str, Any]) -> list[tuple[Face | None, list[Hit]]]:
    """The hits of a search for each face of the image."""
    try:
        faces = [face for result in answer["search_results"] for face in result["faces"] or ()]
        return [(_place(face), [_hit(hit) for hit in face["faces"] or ()]) for face in faces]
    except (TypeError, KeyError, AttributeError):
        raise malformed("search_results is not a list of faces") from None


def _place(found: dict[str, Any]) -> Face | None:
    box = found.get("bounding_box")
    return _face(box) if isinstance(box, dict) else None


def _hit(hit: dict[str, Any]) -> Hit:
    return Hit(hit["id"], _number(hit["score"], MOST_SCORE), _text(hit.get("tag")), _text(hit.get("desc")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_IN_GROUP else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _path(group: str) -> str:
    return f"/v1/face/groups/{quote(group, safe='')}"


def _pts(face: Face) -> str:
    return json.dumps(face.pts)


def _face(detection: object) -> Face:
    if not isinstance(detection, dict) or not isinstance(detection.get("pts"), list):
        raise malformed("a detection without pts")
    corners = detection["pts"]
    if len(corners) != 4 or not all(isinstance(corner, list) and len(corner) == 2 for corner in corners):
        raise malformed("pts is not four corners")
    pts = tuple((_number(x, MOST_COORDINATE), _number(y, MOST_COORDINATE)) for x, y in corners)
    return Face(pts=pts, score=_number(detection.get("score") or 0, MOST_SCORE))


def _number(value: object, most: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most:
        return float(value)
    raise malformed(f"{str(value)[:40]!r} is not a number from {-most:g} to {most:g}")
