"""dlib's face recognition network, aligned by five mesh points."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import dlib
import numpy as np

from face_services.crop import CROP_SIDE, Crop
from face_services.engine import Embedding, Image, Points
from face_services.geometry import Box

MODEL_FILE = "dlib_face_recognition_resnet_model_v1.dat"
# dlib's five points: outer and inner corner of the eye on the picture's right, the same of the left one, nose base.
FIVE_MESH_POINTS = (263, 362, 33, 133, 2)
# Where they lie, as shares of the detector's box, on an upright frontal face (mean of two portraits).
FIVE_BOX_POINTS = np.array([(0.81, 0.28), (0.61, 0.29), (0.19, 0.28), (0.39, 0.29), (0.50, 0.58)])


class Embedder:
    """Turns the face in a box into 128 numbers. Not for use by several threads; about 75 ms a face."""

    def __init__(self) -> None:
        self._network = dlib.face_recognition_model_v1(str(model_path()))

    def embed(self, image: Image, box: Box, mesh: Points | None) -> Embedding:
        """Returns the vector, shape (128,). Without a mesh the points are taken from the box alone.

        The result is then poorer: such a face (very blurred, half covered) is stored but hardly ever found.
        """
        crop = Crop.around(image, box)
        points = _points_of_box(box) if mesh is None else mesh[list(FIVE_MESH_POINTS)]
        shape = dlib.full_object_detection(
            dlib.rectangle(0, 0, CROP_SIDE, CROP_SIDE),
            [dlib.point(round(x), round(y)) for x, y in crop.from_picture(points)],
        )
        return np.array(self._network.compute_face_descriptor(crop.pixels, shape), dtype=np.float32)


def _points_of_box(box: Box) -> Points:
    return FIVE_BOX_POINTS * (box.width, box.height) + (box.left, box.top)


@cache
def model_path() -> Path:
    """The network's file inside `face_recognition_models`, found without importing that package.

    Its import needs `pkg_resources`, and its 68-point model rests on a data set for non-commercial use only; this
    file is the one thing used of it.

    Raises:
        RuntimeError: the package is not installed.
    """
    spec = find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package face_recognition_models is not installed")
    return Path(spec.origin).parent / "models" / MODEL_FILE
