"""A square crop of a picture around one face, turned by any angle, and mapping points back into the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from face_services.engine import Image, Points

Matrix = NDArray[np.float64]
"""Shape (2, 3): maps points from one picture to another."""


@dataclass(frozen=True)
class Crop:
    """Pixels (square, RGB), and the matrix from their points to those of the picture."""

    pixels: Image
    matrix: Matrix

    @classmethod
    def around(cls, image: Image, centre: tuple[float, float], reach: float, turn: float, side: int) -> "Crop":
        """Crops a square of `reach` pixels around a point; parts outside the picture are black.

        Args:
            image: the picture.
            centre: as (x, y).
            reach: side of the square, in pixels of the picture.
            turn: what is turned clockwise by so many radians in the picture is upright in the crop.
            side: of the crop, in pixels.
        """
        scale = reach / side
        cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
        half = (side - 1) / 2
        matrix = np.array([[cos, -sin, centre[0] - (cos - sin) * half], [sin, cos, centre[1] - (sin + cos) * half]])
        return cls(warped(image, matrix, side), matrix)

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the crop."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    @property
    def turn(self) -> float:
        """Radians by which the crop's upright is turned clockwise in the picture."""
        return float(np.arctan2(self.matrix[1, 0], self.matrix[0, 0]))

    def to_picture(self, points: Points) -> Points:
        """Points of this crop in pixels of the picture."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def from_picture(self, points: Points) -> Points:
        """The reverse of `to_picture`."""
        return (points - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T


def warped(image: Image, matrix: Matrix, side: int) -> Image:
    """A square of a picture, by the matrix from its points to the picture's.

    Where it shrinks, the picture's part is averaged first to avoid aliasing.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale > 1.5:
        corners = np.array([(0, 0), (side, 0), (0, side), (side, side)]) @ matrix[:, :2].T + matrix[:, 2]
        height, width = image.shape[:2]
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), (left + 1, top + 1), (width, height))
        part = image[top:bottom, left:right]
        size = (max(1, round(part.shape[1] / scale)), max(1, round(part.shape[0] / scale)))
        shrunk = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        factors = np.array([[size[0] / part.shape[1]], [size[1] / part.shape[0]]])
        matrix = (matrix - np.array([[0, 0, left], [0, 0, top]])) * factors
        image = shrunk
    return cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
