"""From a data URI to an upright RGB picture; every bound is checked before anything large is made."""

import binascii
import io
import re

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from face_services.engine import Image
from face_services.errors import BadImage

# What a photograph comes as (MPO is opened as JPEG). Pillow knows more, EPS among it, for which it would start another
# program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
Pillow.MAX_IMAGE_PIXELS = None  # the bound is ours to set; it is checked before anything is decoded
_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


def picture(uri: str, max_pixels: int) -> Image:
    """Decodes the picture of a data URI, EXIF orientation applied: boxes refer to the picture a viewer shows.

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
        with Pillow.open(io.BytesIO(data), formats=FORMATS) as opened:
            _check_size(opened, max_pixels)
            return np.array(_upright(opened).convert("RGB"))
    except Pillow.UnidentifiedImageError:
        raise BadImage("not an image, or none of a known format") from None
    except BadImage:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
        raise BadImage(f"image cannot be decoded: {type(error).__name__}") from None


def _check_size(opened: Pillow.Image, max_pixels: int) -> None:
    width, height = opened.size
    if width * height > max_pixels:
        raise BadImage(f"image has {width}x{height} pixels, at most {max_pixels} are allowed")


def _payload(uri: str) -> bytes:
    header = _DATA_URI.match(uri)
    if header is None:
        raise BadImage("uri must be a data URI (data:...;base64,...): this service does not fetch")
    try:
        return binascii.a2b_base64(uri[header.end() :], strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadImage("uri is not valid base64") from None


def _upright(opened: Pillow.Image) -> Pillow.Image:
    opened.load()
    try:
        return ImageOps.exif_transpose(opened)
    except Exception:  # noqa: BLE001 - damaged EXIF data does not make the picture bad
        return opened
