"""The protocol's one-word quality of a face, from its size and sharpness."""

import cv2
import numpy as np

from face_services.engine import Image
from face_services.geometry import Box

SMALL_SIDE = 40
BLURRED_BELOW = 8.0
_COMPARED_SIDE = 112


def quality(image: Image, box: Box) -> str:
    """Returns `small` (under 40 px), `blur` or `clear`; the protocol's `cover` and `pose` are never said.

    Blurred is a variance of the Laplacian below 8 on the grey face at 112x112: scikit-image's astronaut has 354
    as it is, 10 at Gaussian sigma 2 and 3.8 at sigma 4.
    """
    if box.side < SMALL_SIDE:
        return "small"
    return "blur" if sharpness(image, box) < BLURRED_BELOW else "clear"


def sharpness(image: Image, box: Box) -> float:
    """Returns the variance of the Laplacian of the grey face at 112x112."""
    left, top = int(box.left), int(box.top)
    face = image[top : max(int(np.ceil(box.bottom)), top + 1), left : max(int(np.ceil(box.right)), left + 1)]
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (_COMPARED_SIDE, _COMPARED_SIDE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
