"""SFace: faces as vectors, from chips aligned by five points."""

import cv2
import numpy as np

from face_services import models
from face_services.crop import warped
from face_services.engine import Chip, Embedding, Image, Points

CHIP_SIDE = 112
_ON_CHIP = np.array(
    [38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j]
)
"""Where the network expects eyes, nose and corners of the mouth, as x + iy."""


def chip_of(image: Image, five: Points) -> Chip:
    """Cuts a face out of a picture so that its five points (as in `detector.Hit`) come to lie where SFace wants them.

    The map is the similarity that does so best by least squares.
    """
    seen = five[:, 0] + 1j * five[:, 1]
    seen_middle, middle = seen.mean(), _ON_CHIP.mean()
    offsets = seen - seen_middle
    size = float((np.abs(offsets) ** 2).sum())
    factor = (offsets.conj() * (_ON_CHIP - middle)).sum() / size if size else 1.0
    back = 1 / factor if factor else 1.0
    start = seen_middle - back * middle
    matrix = np.array([[back.real, -back.imag, start.real], [back.imag, back.real, start.imag]])
    return warped(image, matrix, CHIP_SIDE)


class Embedder:
    """Turns chips into vectors. Not for use by several threads."""

    def __init__(self) -> None:
        self._network = models.recogniser()

    def embed(self, chip: Chip) -> Embedding:
        """Returns the vector of length 1, shape (128,)."""
        (vectors,) = self._network.run(None, {"data": cv2.dnn.blobFromImage(chip)})
        vector: Embedding = vectors[0] / np.linalg.norm(vectors[0])
        return vector
