"""A task's limits: which face counts, and the first limit that it exceeds."""

import re
from collections.abc import Iterable

from face_import.contract import Code
from face_import.domain.models import Face, Limits, Pose
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


def size_violation(face: Face, limits: Limits) -> Violation | None:
    """Check width (205), then height (206), in pixels of the upright image."""
    if face.width < limits.width:
        return Code.WIDTH, f"width {face.width} px is below {limits.width} px"
    if face.height < limits.height:
        return Code.HEIGHT, f"height {face.height} px is below {limits.height} px"
    return None


def pose_violation(pose: Pose | None, limits: Limits) -> Violation | None:
    """Check pitch (202), yaw (203) and roll (204), in degrees, by magnitude.

    A pose that could not be measured violates the first limit that is set: very blurred or half-hidden faces have no
    landmarks, and accepting them would accept the worst images.
    """
    pitch, yaw, roll = (pose.pitch, pose.yaw, pose.roll) if pose else (None, None, None)
    angles = (
        (Code.PITCH, "pitch", pitch, limits.pos_pitch),
        (Code.YAW, "yaw", yaw, limits.pos_yaw),
        (Code.ROLL, "roll", roll, limits.pos_rol),
    )
    for code, name, angle, limit in angles:
        if not limit:
            continue
        if angle is None:
            return code, f"{name} unknown (the pose could not be measured), limit {limit}°"
        if abs(angle) > limit:
            return code, f"{name} {_degrees(angle, limit)}° exceeds {limit}°"
    return None


def blur_violation(blur: int, limits: Limits) -> Violation | None:
    """Check blur (207): 0 is sharp, 100 is blurred."""
    if limits.blur_degree and blur > limits.blur_degree:
        return Code.BLUR, f"blur {blur} exceeds {limits.blur_degree}"
    return None


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


def check_thread_num(thread_num: int, settings: Settings) -> None:
    """Reject a higher concurrency than this installation allows.

    Raises:
        InvalidRequest: above `FACE_IMPORT_MAX_THREADS`.
    """
    if thread_num > settings.max_threads:
        raise InvalidRequest(
            f"thread_num: {thread_num} is above the limit of {settings.max_threads}", field="thread_num"
        )
