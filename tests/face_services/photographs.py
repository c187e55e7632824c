"""Photographs that ship inside scikit-image and matplotlib, and ways to change them."""

from functools import cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image as Pillow
from skimage import data

from face_services.engine import Image

FACELESS = (
    *("binary_blobs", "brick", "cat", "cell", "checkerboard", "clock", "coffee", "coins", "colorwheel", "grass"),
    *("gravel", "horse", "hubble_deep_field", "immunohistochemistry", "logo", "microaneurysms", "moon", "page"),
    *("retina", "rocket", "shepp_logan_phantom", "text"),
)


@cache
def astronaut() -> Image:
    """Eileen Collins, looking slightly to the right of the picture; 512x512."""
    return rgb(data.astronaut())


@cache
def hopper() -> Image:
    """Grace Hopper, looking into the camera; 512 wide, 606 high."""
    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return np.array(Pillow.open(path).convert("RGB"))


@cache
def photographer() -> Image:
    """A man in half profile, looking to the right of the picture; 512x512, grey."""
    return rgb(data.camera())


def faceless(name: str) -> Image:
    """One of scikit-image's pictures without a face."""
    return rgb(getattr(data, name)())


def scraps() -> list[Image]:
    """A hundred pieces of photographs beside a face, 300x300 and very soft."""
    return [scaled(rgb(scrap), 12) for scrap in data.lfw_subset()[100:]]


def rgb(picture: np.ndarray) -> Image:
    """Any array of scikit-image's as an RGB picture."""
    if picture.dtype != np.uint8:
        lowest, span = float(picture.min()), float(np.ptp(picture.astype(float))) or 1.0
        picture = ((picture.astype(float) - lowest) * (255 / span)).astype(np.uint8)
    if picture.ndim == 2:
        picture = np.stack([picture] * 3, axis=-1)
    return np.ascontiguousarray(picture[..., :3])


def mirrored(picture: Image) -> Image:
    """Left and right exchanged."""
    return np.ascontiguousarray(picture[:, ::-1])


def blurred(picture: Image, sigma: float) -> Image:
    """Gaussian blur."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def rotated(picture: Image, clockwise: float) -> Image:
    """Turned by degrees about its middle and shrunk to four fifths, its border drawn out."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -clockwise, 0.8)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def scaled(picture: Image, factor: float) -> Image:
    """Shrunk or enlarged."""
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=kind)


def in_a_corner(picture: Image, width: int, height: int) -> Image:
    """Put at (300, 100) of a larger grey picture."""
    canvas = np.full((height, width, 3), 128, np.uint8)
    canvas[100 : 100 + picture.shape[0], 300 : 300 + picture.shape[1]] = picture
    return canvas
