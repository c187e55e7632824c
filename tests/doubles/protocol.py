"""The face services' published request formats, checked to the letter."""

import binascii
import re
from dataclasses import dataclass
from typing import Any

from face_import.contract import GROUP_NAME_PATTERN

_PREFIX = "data:application/octet-stream;base64,"
_GROUP = re.compile(GROUP_NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Violation(Exception):
    """A request that is not the protocol's."""

    text: str


def image_of(uri: object) -> bytes:
    """Return the bytes of the only kind of URI an import may send: those that were checked."""
    if not isinstance(uri, str) or not uri.startswith(_PREFIX):
        raise Violation(f"uri is not a data URI: {str(uri)[:60]!r}")
    try:
        return binascii.a2b_base64(uri[len(_PREFIX) :], strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Violation(f"uri is damaged: {error}") from None


def detect(body: Any) -> bytes:
    """Check a detection request and return its picture."""
    (data,) = _fields(body, "body", "data")
    (uri,) = _fields(data, "data", "uri")
    return image_of(uri)


def pose(body: Any) -> bytes:
    """Check a pose request for one face and return its picture."""
    (data,) = _fields(body, "body", "data")
    uri, attribute = _fields(data, "data", "uri", "attribute")
    (detections,) = _fields(attribute, "attribute", "detections")
    if not isinstance(detections, list) or len(detections) != 1:
        raise Violation("detections is not a list of one face")
    _pts(*_fields(detections[0], "detection", "pts"))
    return image_of(uri)


def add(body: Any) -> tuple[dict[str, Any], bytes]:
    """Check an add request and return its `image` object and the picture."""
    image, params = _fields(body, "body", "image", "params")
    face_id, uri, tag, _desc, box = _fields(image, "image", "id", "uri", "tag", "desc", "bounding_box")
    if params != {"reject_bad_face": False}:
        raise Violation(f"params is {params!r}")
    if not isinstance(face_id, str) or not isinstance(tag, str):
        raise Violation("id or tag is not a text")
    _pts(*_fields(box, "bounding_box", "pts"))
    return image, image_of(uri)


def create(body: Any) -> int:
    """Check a group's creation and return its capacity."""
    (config,) = _fields(body, "body", "config")
    (capacity,) = _fields(config, "config", "capacity")
    if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 1:
        raise Violation(f"capacity is {capacity!r}")
    return capacity


def delete(body: Any) -> list[str]:
    """Check a deletion and return its ids."""
    (ids,) = _fields(body, "body", "ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(face_id, str) and face_id for face_id in ids):
        raise Violation(f"ids is {ids!r}")
    return ids


def search(body: Any) -> bytes:
    """Check a search for one picture and return it."""
    images, threshold, limit = _fields(body, "body", "images", "threshold", "limit")
    if not isinstance(images, list) or len(images) != 1:
        raise Violation("images is not a list of one picture")
    if not isinstance(threshold, float) or not 0 <= threshold <= 1 or not isinstance(limit, int) or limit < 1:
        raise Violation(f"threshold is {threshold!r}, limit {limit!r}")
    return image_of(images[0])


def group_name(name: str) -> str:
    """Check a group's name."""
    if not _GROUP.fullmatch(name):
        raise Violation(f"group name {name!r}")
    return name


def _fields(value: Any, what: str, *names: str) -> tuple[Any, ...]:
    if not isinstance(value, dict) or set(value) != set(names):
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise Violation(f"{what} has {found}, not {sorted(names)}")
    return tuple(value[name] for name in names)


def _pts(pts: Any) -> None:
    """Check four corners: top left, top right, bottom right, bottom left."""
    try:
        (l1, t1), (r1, t2), (r2, b1), (l2, b2) = pts
        clockwise = l1 == l2 and r1 == r2 and t1 == t2 and b1 == b2 and l1 <= r1 and t1 <= b1
    except (TypeError, ValueError):
        clockwise = False
    if not clockwise:
        raise Violation(f"pts is {str(pts)[:100]}")
