"""A square, upright crop of a picture around one face, and mapping points back into the picture."""

from dataclasses import dataclass

import cv2
import numpy as np

from face_services.engine import Image, Points
from face_services.geometry import Box

CROP_SIDE = 384


@dataclass(frozen=True)
class Crop:
    """`pixels` (384x384 RGB) shows the picture's square at `origin`, `scale` times as large, after `turns`.

    A turn is 90 degrees counter-clockwise, as in `numpy.rot90`.
    """

    pixels: Image
    origin: tuple[float, float]
    scale: float
    turns: int = 0

    @classmethod
    def around(cls, image: Image, box: Box, margin: float = 2.0) -> "Crop":
        """Crops a square of `margin` times the box's longer side around its centre; parts outside are black."""
        reach = box.side * margin
        x, y = box.centre[0] - reach / 2, box.centre[1] - reach / 2
        scale = CROP_SIDE / reach
        pixels = _shrunk_window(image, x, y, scale)
        return cls(pixels, (x, y), scale)

    def turned(self, turns: int) -> "Crop":
        """The same square turned `turns` times further."""
        return Crop(
            np.ascontiguousarray(np.rot90(self.pixels, turns)),
            self.origin,
            self.scale,
            (self.turns + turns) % 4,
        )

    def to_picture(self, points: Points) -> Points:
        """Points of this crop in pixels of the whole picture."""
        turned = points
        for _ in range(self.turns):
            turned = np.column_stack((CROP_SIDE - turned[:, 1], turned[:, 0]))
        return turned / self.scale + self.origin

    def from_picture(self, points: Points) -> Points:
        """Points of the whole picture in pixels of this crop."""
        turned = (points - self.origin) * self.scale
        for _ in range(self.turns):
            turned = np.column_stack((turned[:, 1], CROP_SIDE - turned[:, 0]))
        return turned


def _shrunk_window(image: Image, x: float, y: float, scale: float) -> Image:
    """Samples the window; a face much larger than the crop is averaged first to avoid aliasing."""
    if scale < 0.5:
        reach = CROP_SIDE / scale
        box = Box(x, y, x + reach, y + reach).clipped(image.shape[1], image.shape[0])
        left, top = int(box.left), int(box.top)
        part = image[top : int(np.ceil(box.bottom)), left : int(np.ceil(box.right))]
        part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = np.array([[1, 0, (left - x) * scale], [0, 1, (top - y) * scale]])
        return cv2.warpAffine(part, matrix, (CROP_SIDE, CROP_SIDE))
    matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    return cv2.warpAffine(image, matrix, (CROP_SIDE, CROP_SIDE))
