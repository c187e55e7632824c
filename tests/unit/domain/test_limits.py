"""Which limit a face breaks first, and what is said about it."""

import pytest

from face_import.contract import Code
from face_import.domain.limits import Missing, judge, largest
from face_import.domain.models import Face, Limits, Measurements, Pose


def face(width: float, height: float, *, left: float = 5) -> Face:
    """Return a face of a size."""
    return Face(pts=((left, 5), (left + width, 5), (left + width, 5 + height), (left, 5 + height)))


@pytest.mark.parametrize(
    ("width", "height", "limits", "expected"),
    [
        (48, 200, Limits(width=80, height=80), (Code.WIDTH, "width 48 px is below 80 px")),
        (48, 48, Limits(width=80, height=80), (Code.WIDTH, "width 48 px is below 80 px")),
        (48, 48, Limits(height=80), (Code.HEIGHT, "height 48 px is below 80 px")),
        (80, 80, Limits(width=80, height=80), None),
        (79.6, 80, Limits(width=80, height=80), None),
        (1, 1, Limits(), None),
    ],
)
def test_width_comes_before_height(
    width: float, height: float, limits: Limits, expected: tuple[Code, str] | None
) -> None:
    """A face may be as small as the limit; the text names what was measured and the limit."""
    found = face(width, height)
    assert judge(Measurements(width=found.width, height=found.height), limits) == expected


ALL = Limits(pos_pitch=30, pos_yaw=30, pos_rol=30)
UNKNOWN = "pose unknown: the face is blurred, half covered or seen from the side"


@pytest.mark.parametrize(
    ("pose", "limits", "expected"),
    [
        (Pose(31, -41.23, 50), ALL, (Code.PITCH, "pitch 31.0° exceeds 30°")),
        (Pose(0, -41.23, 50), ALL, (Code.YAW, "yaw -41.2° exceeds 30°")),
        (Pose(0, 0, 50), ALL, (Code.ROLL, "roll 50.0° exceeds 30°")),
        (Pose(30, -30, 30), ALL, None),
        (Pose(0, 0, -30.004), ALL, (Code.ROLL, "roll -30.004° exceeds 30°")),
        (Pose(80, 80, 80), Limits(), None),
        (Pose(80, 80, 10), Limits(pos_rol=30), None),
        (
            None,
            ALL,
            (Code.PITCH, f"{UNKNOWN}; pitch limit 30°"),
        ),
        (
            None,
            Limits(pos_yaw=30),
            (Code.YAW, f"{UNKNOWN}; yaw limit 30°"),
        ),
        (None, Limits(), None),
    ],
)
def test_pose_is_compared_by_magnitude(pose: Pose | None, limits: Limits, expected: tuple[Code, str] | None) -> None:
    """Pitch, yaw, roll in this order; an unknown pose breaks the first limit that is set."""
    known = {} if pose is None else {"pitch": pose.pitch, "yaw": pose.yaw, "roll": pose.roll}
    assert judge(Measurements(**known, pose_unknown=pose is None), limits) == expected


@pytest.mark.parametrize(
    ("blur", "limit", "expected"),
    [(63, 40, (Code.BLUR, "blur 63 exceeds 40")), (40, 40, None), (100, 0, None)],
)
def test_blur_is_bounded_from_above(blur: int, limit: int, expected: tuple[Code, str] | None) -> None:
    """A face may be as blurred as the limit."""
    assert judge(Measurements(blur=blur), Limits(blur_degree=limit)) == expected


@pytest.mark.parametrize(
    ("measured", "limits", "expected"),
    [
        (Measurements(), Limits(), None),
        (Measurements(), Limits(width=1), Missing.SIZE),
        (Measurements(), Limits(faces=1), Missing.COUNT),
        (Measurements(width=9), Limits(width=1, height=1), Missing.SIZE),
        (Measurements(width=9, height=9), Limits(width=1, pos_yaw=1, blur_degree=1), Missing.POSE),
        (Measurements(width=9, height=9, blur=50), Limits(pos_yaw=1, blur_degree=1), Missing.POSE),
        (Measurements(width=9, pitch=0.0, yaw=0.0, roll=0.0), Limits(pos_yaw=1, blur_degree=1), Missing.BLUR),
        (Measurements(width=9), Limits(width=10, pos_yaw=1), (Code.WIDTH, "width 9 px is below 10 px")),
        (Measurements(pose_unknown=True), Limits(blur_degree=1), Missing.BLUR),
    ],
)
def test_what_is_missing_is_said_where_the_verdict_depends_on_it(
    measured: Measurements, limits: Limits, expected: object
) -> None:
    """What has no limit is not needed, nor is anything behind a broken limit."""
    assert judge(measured, limits) == expected


def test_the_largest_face_counts() -> None:
    """Area decides; of equal faces the first, so that a second try chooses the same one."""
    small, first, second = face(10, 10), face(20, 30), face(30, 20, left=90)
    assert largest([small, first, second]) is first
