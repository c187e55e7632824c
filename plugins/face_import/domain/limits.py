"""A task's limits: which face counts, and the first limit that it exceeds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from face_import.contract import Code, Reason
from face_import.domain.models import Face, Limits, Measurements
from face_import.errors import InvalidRequest
from face_import.settings import Settings

Violation = tuple[Code, str]
"""A row's error code and a message that names the measured value and the limit."""


def largest(faces: Iterable[Face]) -> Face:
    """Return the face with the largest box; among equals, the first in the service's order.

    Raises:
        ValueError: there is no face.
    """
    return max(faces, key=lambda face: face.area)


class Missing(StrEnum):
    """What a row's measurements lack for a verdict; what belongs together is measured at once."""

    COUNT = "count"
    SIZE = "size"
    POSE = "pose"
    BLUR = "blur"


@dataclass(frozen=True, slots=True)
class Check:
    """One limit's check of one measurement.

    Attributes:
        code: of a row that breaks the limit.
        of: name of the measurement.
        limit: name of the limit.
        kind: how they are compared: a size may not be below its limit; a count, an angle's magnitude and blur not
            above theirs.
    """

    code: Code
    of: str
    limit: str
    kind: Missing


CHECKS = (
    Check(Code.SEVERAL_FACES, "faces", "faces", Missing.COUNT),
    Check(Code.WIDTH, "width", "width", Missing.SIZE),
    Check(Code.HEIGHT, "height", "height", Missing.SIZE),
    Check(Code.PITCH, "pitch", "pos_pitch", Missing.POSE),
    Check(Code.YAW, "yaw", "pos_yaw", Missing.POSE),
    Check(Code.ROLL, "roll", "pos_rol", Missing.POSE),
    Check(Code.BLUR, "blur", "blur_degree", Missing.BLUR),
)
"""In this order, cheap measurements first: the first limit that a face breaks gives the row's code."""
_OF_POSE = {check.code for check in CHECKS if check.kind is Missing.POSE}


def judge(measured: Measurements, limits: Limits) -> Violation | Missing | None:
    """Judge a row's measurements: the first limit that they break, None if they break none.

    A measurement is needed only if its limit is set and nothing before it decides. A pose that was asked for and is
    unknown breaks the first of its limits that is set: very blurred or half-hidden faces have no landmarks, and
    accepting them would accept the worst images.

    Returns:
        The violation; or what has to be measured first, since the verdict depends on it; or None.
    """
    for check in CHECKS:
        limit = getattr(limits, check.limit)
        if not limit:
            continue
        value = getattr(measured, check.of)
        if value is not None:
            if text := _violation(check, value, limit):
                return check.code, text
        elif check.kind is Missing.POSE and measured.pose_unknown:
            text = f"pose unknown: the face is blurred, half covered or seen from the side; {check.of} limit {limit}°"
            return check.code, text
        else:
            return check.kind
    return None


def reason_of(code: Code, measured: Measurements) -> Reason | None:
    """Why a face breaks a limit, where the code does not say it."""
    return Reason.POSE_UNKNOWN if measured.pose_unknown and code in _OF_POSE else None


def _violation(check: Check, value: float, limit: int) -> str:
    """How a value breaks its limit; empty if it does not."""
    match check.kind:
        case Missing.COUNT:
            return f"{value} {check.of}, at most {limit} is allowed" if value > limit else ""
        case Missing.SIZE:
            return f"{check.of} {value} px is below {limit} px" if value < limit else ""
        case Missing.POSE:
            return f"{check.of} {_degrees(value, limit)}° exceeds {limit}°" if abs(value) > limit else ""
        case Missing.BLUR:
            return f"{check.of} {value} exceeds {limit}" if value > limit else ""


def _degrees(angle: float, limit: int) -> str:
    """Format with one decimal, unless an angle over the limit would be shown as the limit itself."""
    shown = f"{angle:.1f}"
    return shown if abs(float(shown)) > limit else repr(angle)


_MAX_NAME = 250
"""Length of the catalogue's column. On longer names, the operator's pattern may take quadratic time."""


def check_group_name(name: str, settings: Settings) -> None:
    """Reject a group name that the library service would refuse.

    Raises:
        InvalidRequest: it does not match `FACE_IMPORT_GROUP_NAME_PATTERN`.
    """
    if len(name) > _MAX_NAME or re.fullmatch(settings.group_name_pattern, name) is None:
        raise InvalidRequest(
            f"group_name: {name[:80]!r} is not a group name: 3-32 of a-z, 0-9, _ and -, starting with a letter "
            f"(pattern {settings.group_name_pattern})",
            field="group_name",
        )


def check_threads(settings: Settings, **numbers: int) -> None:
    """Reject a higher concurrency than this installation allows.

    Args:
        settings: the settings.
        numbers: `thread_num`, `host_threads`, by name.

    Raises:
        InvalidRequest: one is above `FACE_IMPORT_MAX_THREADS`.
    """
    for name, number in numbers.items():
        if number > settings.max_threads:
            raise InvalidRequest(f"{name}: {number} is above the limit of {settings.max_threads}", field=name)
