"""Photographs that ship inside scikit-image or are in the public domain, and ways to change them."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from skimage import data

from face_services.engine import Image
from face_services.geometry import Box

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
    path = Path(__file__).parents[2] / "examples" / "demo" / "grace_hopper.jpg"
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


def crops() -> list[Image]:
    """A hundred faces of many people, 25x25 in the original and enlarged to 200x200, with a border."""
    faces = [scaled(rgb(face), 8) for face in data.lfw_subset()[:100]]
    return [cv2.copyMakeBorder(face, 60, 60, 60, 60, cv2.BORDER_REPLICATE) for face in faces]


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


def at(picture: Image, place: tuple[int, int], width: int, height: int) -> Image:
    """Put at a place of a larger grey picture; what does not fit is cut off."""
    canvas = np.full((height, width, 3), 128, np.uint8)
    x, y = place
    part = picture[: height - y, : width - x]
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    return canvas


def covered(picture: Image, box: Box, half: str, sheet: Image | None = None) -> Image:
    """A sheet, grey or a picture as large, over the `left`, `right`, `upper` or `lower` half of a box."""
    result = picture.copy()
    left, top, right, bottom = (round(edge) for edge in (box.left, box.top, box.right, box.bottom))
    x, y = (left + right) // 2, (top + bottom) // 2
    rows = {"upper": slice(top, y), "lower": slice(y, bottom)}.get(half, slice(top, bottom))
    columns = {"left": slice(left, x), "right": slice(x, right)}.get(half, slice(left, right))
    result[rows, columns] = 128 if sheet is None else sheet[rows, columns]
    return result
