"""From a data URI to an upright RGB picture; all limits are checked before anything large is allocated."""

import binascii
import io
import re
from contextlib import suppress

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from face_services.engine import Image
from face_services.errors import BadImage
from face_services.tiff import MOST_SIDE, check_tiff

# Formats of photographs (MPO is opened as JPEG). Pillow supports more: EPS, for which it would start another program,
# and AVIF, where the picture may be larger than its header says, up to 268 megapixels.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
Pillow.MAX_IMAGE_PIXELS = None  # our own limit is checked before anything is decoded
_MOST_READS = 2**20
_MOST_EXIF = 2**20
_EXIF_PIECES = 16
_SLOW = {"bmp_rle": 8, "ppm": 8, "webp": 2}
"""By how much the pixel limit is lower for decoders in Python, and for one that holds four copies."""
_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


class _File(io.BytesIO):
    """Limits the number of reads: Pillow creates objects for every segment, chunk, block or tag that it reads."""

    left = _MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise BadImage(f"image is in more than {_MOST_READS} parts")
        return super().read(size)


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
        _check_file(data, max_pixels)
        with Pillow.open(_File(data), formats=FORMATS) as opened:
            _check_size(opened, max_pixels)
            _turn_upright(opened)
            return np.array(opened if opened.mode == "RGB" else opened.convert("RGB"))
    except Pillow.UnidentifiedImageError:
        raise BadImage("not an image, or none of a known format") from None
    except BadImage:
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
        raise BadImage(f"image cannot be decoded: {type(error).__name__}") from None


def _check_file(data: bytes, max_pixels: int) -> None:
    """Limits what Pillow reads when it opens a file."""
    if data.startswith((b"II", b"MM")):
        check_tiff(data, max_pixels)
    if data.startswith(b"\xff\xd8") and data.count(b"Exif\0\0") > _EXIF_PIECES:
        raise BadImage(f"EXIF data is in more than {_EXIF_PIECES} pieces")


def _check_size(opened: Pillow.Image, max_pixels: int) -> None:
    width, height = opened.size
    if width * height > max_pixels:
        raise BadImage(f"image has {width}x{height} pixels, at most {max_pixels} are allowed")
    if max(width, height) > MOST_SIDE:
        raise BadImage(f"image has {width}x{height} pixels, at most {MOST_SIDE} are allowed for a side")
    tiles = getattr(opened, "tile", [])
    decoder = tiles[0][0] if tiles else str(opened.format).lower()
    if decoder == "ppm_plain":
        raise BadImage("PPM of text is not read")
    most = max_pixels // _SLOW.get(decoder, 1)
    if width * height > most:
        raise BadImage(f"{opened.format} image has {width}x{height} pixels, at most {most} of its kind are allowed")


def _payload(uri: str) -> bytes:
    header = _DATA_URI.match(uri)
    if header is None:
        raise BadImage("uri must be a data URI (data:...;base64,...): this service does not fetch")
    try:
        return binascii.a2b_base64(uri[header.end() :], strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadImage("uri is not valid base64") from None


def _turn_upright(opened: Pillow.Image) -> None:
    opened.load()
    if max(len(opened.info.get(name, "")) for name in ("exif", "Raw profile type exif")) > _MOST_EXIF:
        raise BadImage(f"EXIF data is larger than {_MOST_EXIF} bytes")
    with suppress(Exception):  # damaged EXIF data does not invalidate the picture
        ImageOps.exif_transpose(opened, in_place=True)
