"""What the services need from a face engine; `mediapipe_engine` is the one in use."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from face_services.geometry import Box

Image = NDArray[np.uint8]
"""An upright RGB picture, shape (height, width, 3)."""

Points = NDArray[np.float64]
"""Points in pixels, shape (n, 2), x before y."""

Embedding = NDArray[np.float32]
"""A face as a vector, shape (128,); the nearer two are (L2), the more alike the faces."""

EMBEDDING_SIZE = 128


@dataclass(frozen=True)
class Face:
    """A detected face: its box, clipped to the picture, and the detector's score from 0 to 1."""

    box: Box
    score: float


@dataclass(frozen=True)
class Pose:
    """Where a head points, in degrees, and the 68 iBUG landmarks it was found with, shape (68, 2).

    pitch: up is positive. yaw: towards the right of the picture is positive. roll: clockwise is positive.
    """

    pitch: float
    yaw: float
    roll: float
    landmarks: Points


class Engine(Protocol):
    """Finds, measures and compares faces. An instance belongs to the one thread that made it."""

    def detect(self, image: Image) -> list[Face]:
        """Returns the faces of a picture, best score first; an empty list when there is none."""
        ...

    def pose(self, image: Image, boxes: list[Box]) -> list[Pose | None]:
        """Returns one pose per box, in order; None where no landmarks could be found."""
        ...

    def embed(self, image: Image, box: Box) -> Embedding:
        """Returns the vector of the face in that box."""
        ...
