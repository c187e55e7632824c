"""A head's pose from mesh points: a rigid head model fitted to them by solvePnP."""

import cv2
import numpy as np
from numpy.typing import NDArray

from face_services.engine import Points, Pose
from face_services.mesh import IBUG_68

# Mesh index: position on a mean head (x right, y down, z into the scene; the outer eye corners are 90 apart), averaged
# over 79 outputs of the mesh. See docs/reference/face-services.md.
HEAD_MODEL = {
    1: (0.0, 0.0, 0.0),
    4: (0.0, -6.6, -2.5),
    168: (0.0, -44.4, 18.2),
    6: (0.0, -37.0, 14.2),
    33: (-45.0, -41.4, 41.1),
    263: (45.0, -41.4, 41.1),
    133: (-17.3, -39.7, 35.9),
    362: (17.3, -39.7, 35.9),
    61: (-29.6, 22.0, 41.1),
    291: (29.6, 22.0, 41.1),
    2: (0.0, 5.4, 16.3),
    98: (-17.9, 1.7, 24.3),
    327: (17.9, 1.7, 24.3),
    152: (0.0, 70.5, 43.4),
}
_INDICES = list(HEAD_MODEL)
_MODEL = np.array(list(HEAD_MODEL.values()))


def head_pose(mesh: Points, width: int, height: int) -> Pose | None:
    """Returns the pose of one mesh in a picture of that size, or None when the model cannot be fitted.

    The camera is a plain one: focal length max(width, height), centre in the middle, no distortion. The signs are
    verified (they follow mirroring and rotation); the magnitudes of pitch and yaw are not, for want of ground truth.
    """
    rotation = _rotation(mesh[_INDICES], width, height)
    if rotation is None:
        return None
    pitch, yaw, roll = _angles(rotation)
    return Pose(-pitch, -yaw, roll, mesh[list(IBUG_68)])


def _rotation(seen: Points, width: int, height: int) -> NDArray[np.float64] | None:
    focal = float(max(width, height))
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    undistorted = np.zeros(4)
    seen = np.ascontiguousarray(seen, dtype=np.float64)
    try:
        fits, turn, shift = cv2.solvePnP(_MODEL, seen, camera, undistorted, flags=cv2.SOLVEPNP_SQPNP)
        if not fits:
            return None
        turn, _ = cv2.solvePnPRefineLM(_MODEL, seen, camera, undistorted, turn, shift)
    except cv2.error:
        return None
    matrix = cv2.Rodrigues(turn)[0]
    return matrix if np.isfinite(matrix).all() else None


def _angles(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Degrees about x, y, z of a matrix that is Rz * Ry * Rx."""
    about_x = np.arctan2(rotation[2, 1], rotation[2, 2])
    about_y = np.arcsin(np.clip(rotation[2, 0], -1, 1) * -1)
    about_z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(about_x)), float(np.degrees(about_y)), float(np.degrees(about_z))
