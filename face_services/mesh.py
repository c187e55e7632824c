"""MediaPipe's face mesh, fitted to a face that has been found."""

from dataclasses import dataclass

import cv2
import numpy as np

from face_services import models
from face_services.crop import Crop, warped
from face_services.engine import Image, Points
from face_services.geometry import Box

CROP_SIDE = 192
_REACH = 1.5
_EYE_CORNERS = (33, 263)
_WIDER = 1.3
_NARROWED = np.array([[1 / _WIDER, 0, (1 - 1 / _WIDER) * CROP_SIDE / 2], [0, 1, 0], [0, 0, 1]])
"""Maps points of a widened crop to those of the crop; the middle stays."""


@dataclass(frozen=True)
class Mesh:
    """The mesh of one face.

    Attributes:
        flag: how sure the network is that there is a face, from 0 to 1.
        crop: where it looked; the mesh is about upright in it.
        points: in pixels of the crop, shape (468, 2).
        mirrored: the same for the crop mirrored, in pixels of that.
    """

    flag: float
    crop: Crop
    points: Points
    mirrored: Points

    @property
    def roll(self) -> float:
        """Radians by which the eyes are turned clockwise in the picture."""
        return _turn(self.crop, self.points)


class Mesher:
    """Finds the 468 points of a face. Not for use by several threads."""

    def __init__(self) -> None:
        self._network = models.mesh()
        self._outputs = self._network.getUnconnectedOutLayersNames()

    def find(self, image: Image, box: Box, roll: float) -> Mesh:
        """Fits the mesh to the face in a box that is turned by `roll` radians clockwise.

        It looks twice, the second time at where the first mesh was: then the result hardly depends on the box. What it
        looks at then is also looked at mirrored, for the network does not treat both sides alike.
        """
        crop = Crop.around(image, box.centre, box.side * _REACH, roll, CROP_SIDE)
        _, points = self._run(crop.pixels)
        low, high = points.min(axis=0), points.max(axis=0)
        (centre,) = crop.to_picture((low[None] + high[None]) / 2)
        reach = float((high - low).max()) * crop.scale * _REACH
        crop = Crop.around(image, (float(centre[0]), float(centre[1])), reach, _turn(crop, points), CROP_SIDE)
        (flag, points), (other, mirrored) = self._run(crop.pixels), self._run(crop.pixels[:, ::-1])
        return Mesh(min(flag, other), crop, points, mirrored)

    def find_turned(self, image: Image, front: Mesh) -> Mesh:
        """Fits the mesh again to a face that is turned to a side, as `find` fitted it.

        The network draws a turned face too little turned, but less so if the face is shown to it wider than it is: of
        drawn heads turned by 60 degrees, 40 are left in a mesh of `find`, and 48 in this one, whose error also varies
        less from head to head. A face seen from the front is drawn better by `find`.
        """
        wide = warped(image, front.crop.matrix @ _NARROWED, CROP_SIDE)
        (flag, points), (other, mirrored) = self._run(wide), self._run(wide[:, ::-1])
        return Mesh(min(flag, other), front.crop, _narrowed(points), _narrowed(mirrored))

    def _run(self, pixels: Image) -> tuple[float, Points]:
        self._network.setInput(cv2.dnn.blobFromImage(np.ascontiguousarray(pixels), 1 / 255))
        flag, points = self._network.forward(self._outputs)
        return float(1 / (1 + np.exp(-flag.item()))), points.reshape(-1, 3)[:, :2].astype(np.float64)


def _narrowed(points: Points) -> Points:
    return points @ _NARROWED[:2, :2].T + _NARROWED[:2, 2]


def _turn(crop: Crop, points: Points) -> float:
    left, right = points[list(_EYE_CORNERS)] @ crop.matrix[:, :2].T
    return float(np.arctan2(right[1] - left[1], right[0] - left[0]))
