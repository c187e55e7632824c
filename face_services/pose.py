"""A head's pose from its mesh: a rigid head model turned so that, seen from afar, its points lie where they were found.

Seen from afar, as the camera is not known: so the pose of a face does not depend on its place in the picture.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from face_services.detector import Hit
from face_services.engine import Points, Pose
from face_services.mesh import Mesh

# Mesh index, or those of two points that mirror each other: position on a mean head (x right, y down, z into the scene;
# the outer eye corners are 90 apart), averaged over the network's own three-dimensional outputs for ten faces, each
# turned to the front, and over both sides. Forehead and chin are one above the other where pitch is 0.
_MIDDLE = {
    10: (0.0, -87.0, 32.3),
    151: (0.0, -71.6, 27.8),
    9: (0.0, -54.8, 23.8),
    8: (0.0, -46.5, 24.2),
    168: (0.0, -39.7, 23.8),
    6: (0.0, -32.9, 18.9),
    197: (0.0, -26.5, 13.5),
    195: (0.0, -20.7, 7.6),
    5: (0.0, -14.6, 1.5),
    4: (0.0, -6.5, -1.5),
    1: (0.0, 0.0, 0.0),
    2: (0.0, 7.4, 14.8),
    0: (0.0, 19.5, 15.4),
    17: (0.0, 41.8, 19.6),
}
_SIDES = {
    (33, 263): (45.0, -33.3, 45.2),
    (133, 362): (17.4, -32.5, 40.0),
    (159, 386): (32.7, -38.2, 37.7),
    (145, 374): (30.7, -30.9, 38.2),
    (70, 300): (56.1, -47.2, 46.7),
    (105, 334): (40.1, -56.9, 33.1),
    (55, 285): (12.2, -47.4, 26.1),
    (98, 327): (18.7, 5.0, 23.0),
    (61, 291): (30.1, 26.8, 37.0),
}
_HEAD = (
    _MIDDLE
    | {left: (-x, y, z) for (left, _), (x, y, z) in _SIDES.items()}
    | {right: place for (_, right), place in _SIDES.items()}
)
_INDICES = list(_HEAD)
_MODEL = np.array(list(_HEAD.values())) - np.mean(list(_HEAD.values()), axis=0)

# The mesh has no 68-point set. These vertices lie nearest to the iBUG points, in iBUG's order: jaw line (17, from the
# left of the picture), brows (5 + 5), nose ridge (4), nostrils (5), eyes (6 + 6), outer lips (12), inner lips (8).
IBUG_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107),
    *(336, 296, 334, 293, 301),
    *(168, 197, 5, 4),
    *(75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144),
    *(362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)

_SURE_FLAG = 0.6
_MOST_APART = 15.0
"""Degrees between the poses of a face and of its mirror image from which neither is believed."""
_FRONT, _TURNED = 10.0, 20.0
"""Degrees of yaw up to which only the first mesh counts, and from which only the second."""
_FIVE = [[33, 133], [263, 362], [1], [61], [291]]
"""Of the mesh, the points nearest to the detector's five."""
_ROUNDS = 10

# The mesh draws a half covered face whole, but not as it is. What tells it: detector and mesh place eyes, nose and
# mouth differently, the detector's score is low, and the mesh differs when the face is shown wider; of all of that
# turned faces have a little. The numbers are near those of a logistic regression on bare, dim, blurred, turned and
# covered faces (docs/accuracy.md).
_FULL_SCORE, _MISSING_SCORE = 0.92, 7.0
_PER_MOVED, _MOVED_PER_YAW = 0.05, 0.12
_COVERED, _COVERED_PER_DEGREE = 0.25, 0.0095
_SURELY_BARE = 0.08
"""Up to this a face is not shown wider only to see whether it is covered."""
_RIGHT_UP_TO, _GROWTH = 30.0, 0.41


def head_pose(hit: Hit, mesh: Mesh, turned: Callable[[], Mesh]) -> Pose | None:
    """Returns the pose of a face, or None if what is seen of the face does not tell it.

    Args:
        hit: what the detector says of the face.
        mesh: of the face.
        turned: makes the mesh again as it is better for a face turned to a side (`mesh.Mesher.find_turned`).
    """
    first = angles = _sure_angles(mesh)
    if angles is None:
        return None
    cover = _apart(hit, mesh) + _MISSING_SCORE * (_FULL_SCORE - hit.score)
    share = min(max((abs(angles[1]) - _FRONT) / (_TURNED - _FRONT), 0), 1)
    moved = 0.0
    if share or cover > _SURELY_BARE:
        mesh, front = turned(), mesh
        second = _sure_angles(mesh)
        if second is None:
            return None
        moved = float(np.abs(second - first)[:2].max())
        angles = angles * (1 - share) + second * share
        mesh = mesh if share else front
    pitch, yaw, roll = _corrected(angles)
    cover += _PER_MOVED * max(moved - _MOVED_PER_YAW * abs(yaw), 0)
    if cover > _COVERED + _COVERED_PER_DEGREE * max(abs(pitch), abs(yaw)):
        return None
    turn = (roll + float(np.degrees(mesh.crop.turn)) + 180) % 360 - 180
    return Pose(pitch, yaw, turn, mesh.crop.to_picture(mesh.points[list(IBUG_68)]))


def _apart(hit: Hit, mesh: Mesh) -> float:
    """How far apart the detector and the mesh have eyes, nose or mouth, in distances from eyes to mouth."""
    points = mesh.points
    five = mesh.crop.to_picture(np.array([points[of].mean(axis=0) for of in _FIVE]))
    height = np.linalg.norm(five[:2].mean(axis=0) - five[3:].mean(axis=0))
    return float(np.linalg.norm(hit.points - five, axis=1).max() / max(height, 1e-6))


def _sure_angles(mesh: Mesh) -> NDArray[np.float64] | None:
    """Pitch, yaw and roll of a mesh in its crop, the mean of both sights; None if they are not to be believed."""
    seen, mirror = _angles(mesh.points[_INDICES]), _angles(mesh.mirrored[_INDICES]) * (1, -1, -1)
    if mesh.flag < _SURE_FLAG or np.abs(seen - mirror).max() > _MOST_APART:
        return None
    middle: NDArray[np.float64] = (seen + mirror) / 2
    return middle


def _corrected(angles: NDArray[np.float64]) -> tuple[float, float, float]:
    """What the network draws too little turned, as measured on seven drawn heads and checked on ten others.

    See docs/accuracy.md. Up to 30 degrees yaw is right as it is; beyond, it has to grow faster.
    """
    pitch, yaw, roll = angles.tolist()
    yaw += math.copysign(_GROWTH * max(abs(yaw) - _RIGHT_UP_TO, 0), yaw)
    return 1 + pitch * (1.25 if pitch > 0 else 1.1), yaw, roll


def _angles(seen: Points) -> NDArray[np.float64]:
    """Pitch, yaw and roll in degrees of the model's points as they were seen, shape (n, 2)."""
    offsets = seen - seen.mean(axis=0)
    rotation, scale = _nearest(np.linalg.lstsq(_MODEL, offsets, rcond=None)[0].T)
    for _ in range(_ROUNDS):
        # The depths that the model has at this rotation are taken for seen ones; with them the fit is a closed one.
        depths = _MODEL @ rotation[2]
        left, _, right = np.linalg.svd(np.column_stack((offsets / scale, depths)).T @ _MODEL)
        rotation = left @ np.diag((1, 1, np.sign(np.linalg.det(left @ right)))) @ right
        flat = _MODEL @ rotation[:2].T
        scale = float((flat * offsets).sum() / (flat**2).sum())
    about_x = np.arctan2(rotation[2, 1], rotation[2, 2])
    about_y = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    about_z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.degrees((-about_x, -about_y, about_z))


def _nearest(affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The rotation, and the scale, that a map from space to the picture is most like."""
    left, sizes, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    return np.vstack((rows, np.cross(rows[0], rows[1]))), float(sizes.mean())
