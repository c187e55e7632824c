"""Poses of photographs, and of heads drawn at known angles."""

import numpy as np
import pytest

from face_services.engine import Image, Pose
from face_services.opencv_engine import OpenCvEngine
from face_services.pose import IBUG_68
from tests.face_services import photographs
from tests.face_services.rendering import Head


def pose_of(engine: OpenCvEngine, picture: Image) -> Pose:
    """The pose of a picture's best face."""
    pose = engine.detect(picture)[0].pose
    assert pose is not None
    return pose


def apart(one: float, other: float) -> float:
    """Degrees between two directions."""
    return abs((one - other + 180) % 360 - 180)


@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_mirroring_flips_yaw_and_roll(engine: OpenCvEngine, who: object) -> None:
    """In the mirror a head looks to the other side and leans to the other side, as far up as before."""
    seen, mirror = pose_of(engine, who()), pose_of(engine, photographs.mirrored(who()))
    assert seen.yaw == pytest.approx(-mirror.yaw, abs=2)
    assert seen.roll == pytest.approx(-mirror.roll, abs=2)
    assert seen.pitch == pytest.approx(mirror.pitch, abs=2)


def test_yaw_is_positive_towards_the_right_of_the_picture(engine: OpenCvEngine) -> None:
    """The photographer looks right, his mirror image looks left."""
    assert pose_of(engine, photographs.photographer()).yaw > 35
    assert pose_of(engine, photographs.mirrored(photographs.photographer())).yaw < -35


@pytest.mark.parametrize("clockwise", range(30, 360, 30))
def test_turning_the_picture_adds_to_roll(engine: OpenCvEngine, clockwise: int) -> None:
    """Roll follows the picture clockwise all the way round, an upside-down face included, and nothing else changes."""
    upright = pose_of(engine, photographs.rotated(photographs.hopper(), 0))
    turned = pose_of(engine, photographs.rotated(photographs.hopper(), clockwise))
    assert apart(turned.roll, upright.roll + clockwise) <= 2
    assert apart(turned.yaw, upright.yaw) <= 2
    assert apart(turned.pitch, upright.pitch) <= 2.5


@pytest.fixture(scope="module", params=[photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def head(request: pytest.FixtureRequest, engine: OpenCvEngine) -> Head:
    """A head that can be turned by any angle."""
    return Head(engine, request.param())


@pytest.mark.parametrize("degrees", [-60, -45, -30, -15, 15, 30, 45, 60])
def test_yaw_is_in_degrees(engine: OpenCvEngine, head: Head, degrees: int) -> None:
    """A head drawn after a turn to a side is measured as turned by as much, and as looking up as much as before."""
    before, after = pose_of(engine, head.turned()), pose_of(engine, head.turned(yaw=degrees))
    assert abs(after.yaw - before.yaw - degrees) <= 8
    assert abs(after.pitch - before.pitch) <= 8
    assert abs(after.roll - before.roll) <= 4


@pytest.mark.parametrize("degrees", [-30, -20, -10, 10, 20, 30])
def test_pitch_is_in_degrees(engine: OpenCvEngine, head: Head, degrees: int) -> None:
    """The same for a head that turns up or down."""
    before, after = pose_of(engine, head.turned()), pose_of(engine, head.turned(pitch=degrees))
    assert abs(after.pitch - before.pitch - degrees) <= 8
    assert abs(after.yaw - before.yaw) <= 4


@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_the_place_in_the_picture_does_not_matter(engine: OpenCvEngine, who: object) -> None:
    """The same face in the corners and in the middle of a larger picture has the same pose, within 2 degrees."""
    places = [(0, 0), (1000, 0), (0, 400), (1000, 400), (500, 200)]
    poses = [pose_of(engine, photographs.at(photographs.scaled(who(), 0.5), place, 1280, 720)) for place in places]
    for name in ("pitch", "yaw", "roll"):
        angles = [getattr(pose, name) for pose in poses]
        assert max(angles) - min(angles) <= 2, (name, angles)


@pytest.mark.parametrize("degrees", [-60, -45, 45, 60])
def test_a_turned_head_in_the_mirror_is_turned_the_other_way(engine: OpenCvEngine, head: Head, degrees: int) -> None:
    """By as much, within 2 degrees, as faces that look ahead are."""
    turned = head.turned(yaw=degrees)
    seen, mirror = pose_of(engine, turned), pose_of(engine, photographs.mirrored(turned))
    assert seen.yaw == pytest.approx(-mirror.yaw, abs=2)
    assert seen.roll == pytest.approx(-mirror.roll, abs=2)
    assert seen.pitch == pytest.approx(mirror.pitch, abs=2)


@pytest.mark.parametrize("grey", [128, 0, 255])
@pytest.mark.parametrize("half", ["left", "right", "upper", "lower"])
@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_a_half_covered_face_has_no_wrong_pose(engine: OpenCvEngine, who: object, half: str, grey: int) -> None:
    """Behind a sheet half of a face is measured within 10 degrees, or not at all."""
    before = engine.detect(who())[0]
    faces = engine.detect(photographs.covered(who(), before.box, half, np.full_like(who(), grey)))
    for pose in [face.pose for face in faces if face.pose and face.box.same_face(before.box)]:
        assert abs(pose.yaw - before.pose.yaw) <= 10
        assert abs(pose.pitch - before.pose.pitch) <= 10


@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_a_bare_face_has_a_pose_however_poor_the_picture(engine: OpenCvEngine, who: object) -> None:
    """Dim, soft or small, a face is not taken for a covered one."""
    picture, before = who(), engine.detect(who())[0]
    side = before.box.side
    poor = [picture // 8, photographs.blurred(picture, side * 0.02), photographs.scaled(picture, 30 / side)]
    for pose in (pose_of(engine, one) for one in poor):
        assert abs(pose.yaw - before.pose.yaw) <= 8
        assert abs(pose.pitch - before.pose.pitch) <= 8


def test_landmarks_are_in_ibug_order(engine: OpenCvEngine) -> None:
    """The 68 points are where iBUG has them: jaw around, brows over eyes, nose between, mouth below."""
    points = pose_of(engine, photographs.astronaut()).landmarks
    assert points.shape == (68, 2)
    assert len(set(IBUG_68)) == 68
    jaw, nose, mouth = points[:17], points[27:36], points[48:]
    left_eye, right_eye = points[36:42], points[42:48]
    assert jaw[0, 0] < left_eye[:, 0].min() < left_eye[:, 0].max() < right_eye[:, 0].min() < jaw[16, 0]
    assert points[17:27, 1].max() < left_eye[:, 1].min() + 5
    assert left_eye[:, 1].mean() < nose[:, 1].mean() < mouth[:, 1].mean() < jaw[8, 1]
