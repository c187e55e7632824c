"""Candidates for faces, from YuNet."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from face_services import models
from face_services.crop import Crop
from face_services.engine import Image, Points
from face_services.geometry import Box

LOWEST_SCORE = 0.3
SMALLEST_SIDE = 320
"""A smaller picture is enlarged, so that a face that fills it is not larger than any that the network knows."""
_STRIDES = (8, 16, 32)
_CELL = 32


@dataclass(frozen=True)
class Hit:
    """A possible face: its box, score, and five points: eyes, nose, corners of the mouth, each from left to right.

    In the picture the points are right only where the face is not turned by more than 45 degrees; the box always is.
    """

    box: Box
    score: float
    points: Points

    @property
    def roll(self) -> float:
        """Radians by which the eyes are turned clockwise."""
        right, left = self.points[1], self.points[0]
        return float(np.arctan2(right[1] - left[1], right[0] - left[0]))

    def in_picture(self, crop: Crop) -> "Hit":
        """The hit of a crop as one of the picture; its box is that of the turned ellipse in it."""
        (middle,) = crop.to_picture(np.array([self.box.centre]))
        turn, width, height = crop.turn + self.roll, self.box.width * crop.scale, self.box.height * crop.scale
        across = float(np.hypot(width * np.cos(turn), height * np.sin(turn))) / 2
        down = float(np.hypot(width * np.sin(turn), height * np.cos(turn))) / 2
        box = Box(middle[0] - across, middle[1] - down, middle[0] + across, middle[1] + down)
        return Hit(box, self.score, crop.to_picture(self.points))


class Detector:
    """Runs YuNet over a picture. Not for use by several threads."""

    def __init__(self) -> None:
        self._network = models.detector()

    def find(self, image: Image, side: int) -> list[Hit]:
        """Hits in a picture that is shrunk to that longer side first, best score first, one a face.

        Sees faces down to about a sixtieth of `side`.
        """
        longer = max(image.shape[:2])
        scale = min(side, max(longer, SMALLEST_SIDE)) / longer
        if scale != 1:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        found = suppressed(list(self._hits(image)))
        return [Hit(hit.box.scaled(1 / scale), hit.score, hit.points / scale) for hit in found]

    def _hits(self, image: Image) -> Iterator[Hit]:
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(image, 0, -height % _CELL, 0, -width % _CELL, cv2.BORDER_CONSTANT)
        pixels = cv2.dnn.blobFromImage(padded, swapRB=True)
        outputs = [output[0] for output in self._network.run(None, {"input": pixels})]
        for level, stride in enumerate(_STRIDES):
            classes, objects, boxes, points = outputs[level::3]
            scores = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
            (likely,) = np.nonzero(scores >= LOWEST_SCORE)
            cells = np.column_stack((likely % (padded.shape[1] // stride), likely // (padded.shape[1] // stride)))
            yield from map(
                _hit,
                scores[likely],
                (boxes[likely, :2] + cells) * stride,
                np.exp(boxes[likely, 2:]) * stride / 2,
                (points[likely].reshape(-1, 5, 2) + cells[:, None]) * stride,
            )


def _hit(score: np.float32, centre: NDArray[np.float64], half: NDArray[np.float64], points: NDArray[np.float64]) -> Hit:
    return Hit(Box(*(centre - half).tolist(), *(centre + half).tolist()), float(score), points.astype(np.float64))


def suppressed(hits: list[Hit]) -> list[Hit]:
    """Keeps the best-scored hit of each face, best first."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda one: one.score, reverse=True):
        if not any(hit.box.same_face(better.box) for better in kept):
            kept.append(hit)
    return kept
