"""Signs and consistency of the pose; its magnitudes have no ground truth here."""

import cv2
import numpy as np
import pytest

from face_services.engine import Image, Pose
from face_services.mediapipe_engine import MediaPipeEngine
from face_services.mesh import IBUG_68
from face_services.pose import HEAD_MODEL, head_pose
from tests.face_services import photographs


def pose_of(engine: MediaPipeEngine, picture: Image) -> Pose:
    """The pose of a picture's best face."""
    (pose,) = engine.pose(picture, [engine.detect(picture)[0].box])
    assert pose is not None
    return pose


def apart(one: float, other: float) -> float:
    """Degrees between two directions."""
    return abs((one - other + 180) % 360 - 180)


@pytest.mark.parametrize("who", [photographs.astronaut, photographs.hopper], ids=["astronaut", "hopper"])
def test_mirroring_flips_yaw_and_roll(engine: MediaPipeEngine, who: object) -> None:
    """In the mirror a head looks to the other side and leans to the other side, as far up as before."""
    seen, mirror = pose_of(engine, who()), pose_of(engine, photographs.mirrored(who()))
    assert seen.yaw == pytest.approx(-mirror.yaw, abs=3)
    assert seen.roll == pytest.approx(-mirror.roll, abs=3)
    assert seen.pitch == pytest.approx(mirror.pitch, abs=3)


def test_yaw_is_positive_towards_the_right_of_the_picture(engine: MediaPipeEngine) -> None:
    """The photographer looks right, his mirror image looks left."""
    assert pose_of(engine, photographs.photographer()).yaw > 35
    assert pose_of(engine, photographs.mirrored(photographs.photographer())).yaw < -35


@pytest.mark.parametrize("clockwise", range(30, 360, 30))
def test_turning_the_picture_adds_to_roll(engine: MediaPipeEngine, clockwise: int) -> None:
    """Roll follows the picture clockwise all the way round, an upside-down face included."""
    upright = pose_of(engine, photographs.rotated(photographs.hopper(), 0))
    turned = pose_of(engine, photographs.rotated(photographs.hopper(), clockwise))
    assert apart(turned.roll, upright.roll + clockwise) < 5
    assert apart(turned.yaw, upright.yaw) < 6


@pytest.mark.parametrize(("about", "angle_name"), [((-1, 0, 0), "pitch"), ((0, -1, 0), "yaw"), ((0, 0, 1), "roll")])
def test_recovers_the_turn_of_a_model_head(about: tuple[int, int, int], angle_name: str) -> None:
    """A head model turned by 20 degrees about one axis and projected is measured as exactly that."""
    mesh = np.full((468, 2), np.nan)
    camera = np.array([[640.0, 0, 320], [0, 640, 240], [0, 0, 1]])
    turn = np.radians(20) * np.array(about, float)
    model = np.array(list(HEAD_MODEL.values()))
    mesh[list(HEAD_MODEL)] = cv2.projectPoints(model, turn, np.array([0, 0, 900.0]), camera, None)[0][:, 0]
    pose = head_pose(mesh, 640, 480)
    assert pose is not None
    wanted = {"pitch": 0, "yaw": 0, "roll": 0, angle_name: 20}
    assert {name: getattr(pose, name) for name in wanted} == pytest.approx(wanted, abs=0.01)


def test_landmarks_are_in_ibug_order(engine: MediaPipeEngine) -> None:
    """The 68 points are where iBUG has them: jaw around, brows over eyes, nose between, mouth below."""
    points = pose_of(engine, photographs.astronaut()).landmarks
    assert points.shape == (68, 2)
    assert len(set(IBUG_68)) == 68
    jaw, nose, mouth = points[:17], points[27:36], points[48:]
    left_eye, right_eye = points[36:42], points[42:48]
    assert jaw[0, 0] < left_eye[:, 0].min() < left_eye[:, 0].max() < right_eye[:, 0].min() < jaw[16, 0]
    assert points[17:27, 1].max() < left_eye[:, 1].min() + 5
    assert left_eye[:, 1].mean() < nose[:, 1].mean() < mouth[:, 1].mean() < jaw[8, 1]


def test_one_answer_per_box_in_order(engine: MediaPipeEngine) -> None:
    """A box without a face in it has no pose and does not shift the others."""
    picture = photographs.astronaut()
    (face,) = engine.detect(picture)
    empty = face.box.moved(-170, 300)
    poses = engine.pose(picture, [empty, face.box, empty])
    assert [pose is None for pose in poses] == [True, False, True]
