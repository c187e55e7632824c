"""From a data URI to an upright RGB picture; formats, limits and conversion are the import's own."""

import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pybase64
from PIL.ImageFile import ImageFile

from face_import.domain.bounds import ImageError, TooManyPixels
from face_import.domain.decoding import read, to_rgb
from face_services.engine import Image
from face_services.errors import BadImage

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_T = TypeVar("_T")


def picture(uri: str, max_pixels: int) -> Image:
    """Decodes the picture of a data URI and applies its EXIF orientation, so that boxes refer to the upright picture.

    Args:
        uri: `data:...;base64,...`; nothing else, for the embedded services never fetch.
        max_pixels: largest width times height.

    Returns:
        RGB, shape (height, width, 3). Of an animation it is the first frame.

    Raises:
        BadImage: another kind of URI, damaged base64, not a picture, a damaged one, or too many pixels.
    """
    return _read(uri, max_pixels, lambda image: np.array(to_rgb(image)))


def reduced(uri: str, max_pixels: int, side: int) -> tuple[Image, float]:
    """The same, but a JPEG is decoded at 1/8, 1/4 or 1/2 of its size where its longer side stays above `side`.

    Returns:
        The picture, and how many times as large the whole one is.
    """

    def small(image: ImageFile) -> tuple[Image, float]:
        longer = max(image.size)
        if image.format == "JPEG":
            share = min(1.0, side / longer)
            image.draft(image.mode, (max(1, round(image.width * share)), max(1, round(image.height * share))))
        pixels = np.array(to_rgb(image))
        return pixels, longer / max(pixels.shape[:2])

    return _read(uri, max_pixels, small)


def _read(uri: str, max_pixels: int, use: Callable[[ImageFile], _T]) -> _T:
    data = _payload(uri)
    try:
        return read(data, max_pixels, lambda _, image: use(image))
    except TooManyPixels as error:
        raise BadImage(f"image: {error}; the limit is FACE_SERVICES_MAX_PIXELS") from None
    except ImageError as error:
        raise BadImage(f"image: {error}") from None


def _payload(uri: str) -> bytes:
    header = _DATA_URI.match(uri)
    if header is None:
        raise BadImage("uri must be a data URI (data:...;base64,...): this service does not fetch")
    try:
        return pybase64.b64decode(uri[header.end() :], validate=True)
    except ValueError:  # also for what is not ASCII
        raise BadImage("uri is not valid base64") from None
