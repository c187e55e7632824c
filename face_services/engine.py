"""What the services need from a face engine; `opencv_engine` is the one in use."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from face_services.geometry import Box

Image = NDArray[np.uint8]
"""An upright RGB picture, shape (height, width, 3)."""

Points = NDArray[np.float64]
"""Points in pixels, shape (n, 2), x before y."""

Chip = NDArray[np.uint8]
"""A face cut out and turned upright in the size that the engine's `embed` takes; RGB."""

Embedding = NDArray[np.float32]
"""A face as a vector of length 1, shape (128,); the nearer two are (L2), the more alike the faces."""

EMBEDDING_SIZE = 128

ENGINE = "YuNet 2023mar, SFace 2021dec, version 1"
"""What makes the embeddings; to be changed with anything that changes them.

A library names it, for embeddings of two engines cannot be compared.
"""


@dataclass(frozen=True)
class Pose:
    """Where a head points, in degrees, and the 68 iBUG landmarks it was found with, shape (68, 2).

    pitch: up is positive. yaw: towards the right of the picture is positive. roll: clockwise is positive.
    """

    pitch: float
    yaw: float
    roll: float
    landmarks: Points


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    Attributes:
        box: clipped to the picture.
        score: the detector's, from 0 to 1.
        pose: None if it cannot be told, as when half of the face is covered.
        chip: what `embed` takes.
    """

    box: Box
    score: float
    pose: Pose | None
    chip: Chip


class Engine(Protocol):
    """Finds, measures and compares faces. An instance belongs to the one thread that made it."""

    def detect(self, image: Image) -> list[Face]:
        """Returns the faces of a picture, best score first; an empty list when there is none."""
        ...

    def embed(self, chip: Chip) -> Embedding:
        """Returns the vector of a face."""
        ...
