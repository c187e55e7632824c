"""MediaPipe's face mesh, fitted to a face that has been found."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from face_services import models
from face_services.crop import Crop, warped
from face_services.engine import Image, Points
from face_services.geometry import Box

CROP_SIDE = 192
_REACH = 1.5
_EYE_CORNERS = (33, 263)
_TIMES_AS_WIDE = (1.3, 1.5)
"""How a turned face is shown, first and then."""

Place = NDArray[np.float64]
"""Where a mesh is in a crop: middle x and y, longer side, and the turn of its eyes in radians; shape (4,)."""


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
        return self.crop.turn + float(_place(self.points)[3])

    @property
    def place(self) -> Place:
        """Where it is in the crop, the mean of both sights."""
        x, y, side, turn = _place(self.mirrored)
        mean: Place = np.mean([_place(self.points), (CROP_SIDE - 1 - x, y, side, -turn)], axis=0)
        return mean

    def points_in(self, crop: Crop) -> tuple[Points, Points]:
        """Points and mirrored points in pixels of another crop of the picture."""
        mirrored = crop.from_picture(self.crop.to_picture(_flipped(self.mirrored)))
        return crop.from_picture(self.crop.to_picture(self.points)), _flipped(mirrored)


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
        crop = _centred(image, crop, _place(points))
        return self._seen(crop, crop.pixels)

    def find_turned(self, image: Image, front: Mesh) -> Mesh:
        """Fits the mesh again to a face that is turned to a side, as `find` fitted it.

        The network draws a turned face too little turned, but less so if the face is shown to it wider than it is: of
        drawn heads turned by 60 degrees, 41 are left in a mesh of `find`, and 51 in this one, whose error also varies
        less from head to head. A face seen from the front is drawn better by `find`.

        It looks twice, each time at where the mesh was before, and takes the mean: the pose of a turned face is
        corrected by a factor, and with it grows what is left of the box that `find` began with, and of chance.
        The flag is the higher one: the network is less sure of what is wider.
        """
        mesh, looks = front, []
        for times in _TIMES_AS_WIDE:
            crop = _centred(image, mesh.crop, mesh.place)
            mesh = self._seen(crop, warped(image, crop.matrix @ _narrowing(times), CROP_SIDE), times)
            looks.append(mesh)
        points, mirrored = np.mean([look.points_in(front.crop) for look in looks], axis=0)
        return Mesh(max(look.flag for look in looks), front.crop, points, mirrored)

    def _seen(self, crop: Crop, pixels: Image, times: float = 1.0) -> Mesh:
        """The mesh in a crop, of which the pixels show the middle, so many times as wide as it is."""
        narrowing = _narrowing(times)
        (flag, points), (other, mirrored) = self._run(pixels), self._run(pixels[:, ::-1])
        narrow, narrow_mirrored = (each @ narrowing[:2, :2].T + narrowing[:2, 2] for each in (points, mirrored))
        return Mesh(min(flag, other), crop, narrow, narrow_mirrored)

    def _run(self, pixels: Image) -> tuple[float, Points]:
        self._network.setInput(cv2.dnn.blobFromImage(np.ascontiguousarray(pixels), 1 / 255))
        flag, points = self._network.forward(self._outputs)
        return float(1 / (1 + np.exp(-flag.item()))), points.reshape(-1, 3)[:, :2].astype(np.float64)


def _narrowing(times: float) -> NDArray[np.float64]:
    """Maps points of a crop's pixels when widened so many times to those of the crop; the middle stays."""
    return np.array([[1 / times, 0, (1 - 1 / times) * (CROP_SIDE - 1) / 2], [0, 1, 0], [0, 0, 1]])


def _place(points: Points) -> Place:
    low, high = points.min(axis=0), points.max(axis=0)
    left, right = points[list(_EYE_CORNERS)]
    return np.array([*(low + high) / 2, (high - low).max(), np.arctan2(right[1] - left[1], right[0] - left[0])])


def _centred(image: Image, crop: Crop, place: Place) -> Crop:
    """The crop in which a mesh that was found at a place of another crop is in the middle, and upright."""
    (centre,) = crop.to_picture(place[None, :2])
    _, _, side, turn = place.tolist()
    reach = side * crop.scale * _REACH
    return Crop.around(image, (float(centre[0]), float(centre[1])), reach, crop.turn + turn, CROP_SIDE)


def _flipped(points: Points) -> Points:
    """Points of a crop in pixels of the crop mirrored, or back."""
    return points * (-1, 1) + (CROP_SIDE - 1, 0)
