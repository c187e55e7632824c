"""Faces turned by known angles: a photograph's own face mesh, in three dimensions, drawn again after a turn."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from face_services import models
from face_services.crop import Crop
from face_services.engine import Image
from face_services.opencv_engine import OpenCvEngine

SIDE = 512
_CROP_SIDE = 192
_AWAY = 4.0
"""Distance of the camera, in widths of the face."""


class Head:
    """The front of a head, of a photograph that shows it from the front.

    Args:
        engine: finds the face.
        photograph: of one face.
    """

    def __init__(self, engine: OpenCvEngine, photograph: Image) -> None:
        (face,) = engine.detect(photograph)
        turn = np.radians(face.pose.roll)
        crop = Crop.around(photograph, face.box.centre, face.box.side * 1.5, turn, _CROP_SIDE)
        network = models.mesh()
        network.setInput(cv2.dnn.blobFromImage(crop.pixels, 1 / 255))
        _, points = network.forward(network.getUnconnectedOutLayersNames())
        self._shape = points.reshape(-1, 3).astype(np.float64)
        self._texture = Crop.around(photograph, face.box.centre, face.box.side * 1.5, turn, _CROP_SIDE * 4).pixels
        self._triangles = Delaunay(self._shape[:, :2]).simplices

    def turned(self, yaw: float = 0.0, pitch: float = 0.0, width: float = 180.0) -> Image:
        """A picture of the head after it has turned by these degrees, the face that many pixels wide."""
        about_y, about_x = np.radians(-yaw), np.radians(-pitch)
        turn_y = np.array([(np.cos(about_y), 0, np.sin(about_y)), (0, 1, 0), (-np.sin(about_y), 0, np.cos(about_y))])
        turn_x = np.array([(1, 0, 0), (0, np.cos(about_x), -np.sin(about_x)), (0, np.sin(about_x), np.cos(about_x))])
        extent = np.ptp(self._shape[:, 0])
        points = (self._shape - self._shape.mean(axis=0)) / extent @ (turn_y @ turn_x).T
        flat = points[:, :2] * _AWAY / (_AWAY + points[:, 2:]) * width + SIDE / 2
        picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
        farthest_first = np.argsort(-points[self._triangles][..., 2].mean(axis=1))
        for corners in self._triangles[farthest_first]:
            _draw(picture, self._texture, self._shape[corners, :2] * 4, flat[corners])
        return picture


def _draw(picture: Image, texture: Image, source: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    """Draw a triangle of the texture onto the picture, unless it shows its back."""
    if _area(source) * _area(target) <= 0:
        return
    low, high = np.floor(target.min(axis=0)).astype(int) - 1, np.ceil(target.max(axis=0)).astype(int) + 2
    there = (target - low).astype(np.float32)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    matrix = cv2.getAffineTransform(source.astype(np.float32), there)
    part = cv2.warpAffine(texture, matrix, size, borderMode=cv2.BORDER_REFLECT)
    inside = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(inside, np.round(there * 16).astype(np.int32), 1, shift=4)
    region = picture[low[1] : high[1], low[0] : high[0]]
    region[inside > 0] = part[inside > 0]


def _area(corners: NDArray[np.float64]) -> float:
    (ax, ay), (bx, by) = corners[1] - corners[0], corners[2] - corners[0]
    return float(ax * by - ay * bx)
