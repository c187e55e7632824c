"""From a data URI to an upright RGB picture; formats, limits and conversion are the import's own."""

import binascii
import re

import numpy as np

from face_import.domain.bounds import ImageError, TooManyPixels
from face_import.domain.decoding import read, to_rgb
from face_services.engine import Image
from face_services.errors import BadImage

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


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
    data = _payload(uri)
    try:
        return read(data, max_pixels, lambda _, image: np.array(to_rgb(image)))
    except TooManyPixels as error:
        raise BadImage(f"image: {error}; the limit is FACE_SERVICES_MAX_PIXELS") from None
    except ImageError as error:
        raise BadImage(f"image: {error}") from None


def _payload(uri: str) -> bytes:
    header = _DATA_URI.match(uri)
    if header is None:
        raise BadImage("uri must be a data URI (data:...;base64,...): this service does not fetch")
    try:
        return binascii.a2b_base64(uri[header.end() :], strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadImage("uri is not valid base64") from None
