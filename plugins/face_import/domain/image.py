"""Image checks: whether an image decodes completely, its size, and the blur of a face in it."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from struct import Struct

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from face_import.domain.bounds import CountedFile, ImageError, check_exif, check_side, check_tiff

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""Accepted formats. Pillow supports more, including some that start other programs."""

MAX_SCANS = 64
"""In a JPEG; progressive ones have about ten. Each scan covers the whole image: 75 bytes cost a decoder 20 ms at 50
megapixels, a file of 20 MB an hour and a half.
"""

_FEW_BYTES = 2**20
"""Too few to hold much EXIF, or many parts."""
_EXIF_PIECES = 16
"""Of at most 64 KiB each; Pillow joins and parses them when it opens a JPEG."""
_DEARER = {"WEBP": 2, "bmp_rle": 8}
"""By how much the pixel limit is lower for decoders that hold four copies of an image, or are written in Python:
50 megapixels take them 800 MB and 5 seconds.
"""

SMALL_BYTES, SMALL_PIXELS = 2**17, 2**20
"""Limits for a JPEG that usually decodes in a millisecond or two, and in 30 ms at worst."""

_SCAN = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e][\x01-\x04]")
_FRAME = Struct(">HBHH")
"""Start of a JPEG's frame segment: its length, bits per sample, height, width."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BLUR_SIDE = 112
_SIDEWAYS = range(5, 9)
"""EXIF orientations that swap width and height."""

# Pillow warns of odd metadata, in text that hostile bytes control: thousands of lines in a task's log.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Width and height in pixels of the upright image, and Pillow's name of its format."""

    width: int
    height: int
    format: str


def is_small(data: bytes) -> bool:
    """Whether decoding takes no longer than handing the image to a thread (ADR 18); JPEGs only.

    Other formats may have a few bytes and 50 megapixels.
    """
    return len(data) <= SMALL_BYTES and 0 < _jpeg_pixels(data) <= SMALL_PIXELS


def _jpeg_pixels(data: bytes) -> int:
    """Number of pixels from a JPEG's frame header, or 0; Pillow takes twelve times as long."""
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while data.startswith(b"\xff", at) and at + 2 + _FRAME.size <= len(data):
        length, _, height, width = _FRAME.unpack_from(data, at + 2)
        if data[at + 1] in _FRAMES:
            return int(height * width)
        at += 2 + length
    return 0


def check_image(data: bytes, max_pixels: int) -> ImageInfo:
    """Decode an image (the first frame of an animation) completely.

    A JPEG is decoded at an eighth of its size: 0.57 ms against 1.04 for a 512x512 image, and the
    decoder still reads every coefficient, so a truncated file still fails.

    Raises:
        ImageError: the image cannot be decoded; nothing else is raised, whatever the bytes.
    """
    try:
        with opened(data, max_pixels) as image:
            return _check(image)
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes make Pillow raise nearly anything
        raise ImageError(_reason(error, data)) from None


@contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """Open an image that can be decoded, and its EXIF read, within the memory and time that `max_pixels` allows.

    Raises:
        ImageError: it cannot; names what is too large. Pillow may raise nearly anything else.
    """
    blocks = check_tiff(data, max_pixels) if data.startswith((b"II", b"MM")) else 0
    file = BytesIO(data)
    if len(data) > _FEW_BYTES:
        file = CountedFile(data)
        if data.startswith(b"\xff\xd8") and data.count(b"Exif\0\0") > _EXIF_PIECES:
            raise ImageError(f"EXIF in more than {_EXIF_PIECES} pieces")
    with Image.open(file, formats=FORMATS) as image:
        _bound_size(image, max_pixels)
        _bound_scans(data, blocks)
        if image.format == "PNG":
            image.load()  # EXIF may follow the image data
        for name in ("exif", "Raw profile type exif"):
            check_exif(len(image.info.get(name, "")))
        yield image


def blur_of(data: bytes, box: tuple[float, float, float, float]) -> int:
    """Measure how blurred a face is: 0 is sharp, 100 is blurred (design decision 9).

    v is the variance of the Laplacian of the grey crop scaled to 112x112; blur is 100 / (1 + v / 20).
    A JPEG is decoded without its colours and no larger than the crop needs.

    Args:
        data: an image that passed `check_image`.
        box: left, top, right and bottom in pixels of the upright image; parts outside are ignored.

    Returns:
        0 to 100; 100 for a box outside the image.

    Raises:
        ImageError: the image cannot be decoded.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            crop = _grey_crop(image, box)
    except Exception as error:  # noqa: BLE001 - as above
        raise ImageError(_reason(error, data)) from None
    if crop is None:
        return 100
    grey = np.asarray(crop, dtype=np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return round(100 / (1 + float(laplacian.var()) / 20))


def _check(image: Image.Image) -> ImageInfo:
    width, height = image.size
    if image.format == "JPEG":
        image.draft(image.mode, (max(1, width // 8), max(1, height // 8)))
        image.load()
    else:
        image.load()
        width, height = image.size  # Pillow turns a TIFF upright as it loads it
    if image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
        width, height = height, width
    return ImageInfo(width, height, image.format or "")


def _bound_size(image: ImageFile, max_pixels: int) -> None:
    width, height = image.size
    pixels = width * height
    if pixels > max_pixels:
        raise ImageError(f"{width}x{height} pixels, more than {max_pixels}")
    check_side("image", width, height)
    decoder = image.tile[0][0] if image.tile else image.format or ""
    allowed = max_pixels // _DEARER.get(decoder, 1)
    if pixels > allowed:
        raise ImageError(f"{image.format} of {width}x{height} pixels, more than {allowed} of its kind")


def _bound_scans(data: bytes, blocks: int) -> None:
    """Reject a JPEG with too many scans; a TIFF may contain a JPEG for each of its blocks."""
    allowed = MAX_SCANS + 4 * blocks
    if any(number > allowed for number, _ in enumerate(_SCAN.finditer(data), 1)):
        raise ImageError(f"more than {allowed} scans")


def _grey_crop(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image | None:
    """Crop the upright image and scale it for measuring blur; None if nothing is left."""
    full_width = image.width
    # Twice the final side: then, as measured, scaling in the decoder does not change the blur.
    needed = 2 * _BLUR_SIDE / max(1.0, min(box[2] - box[0], box[3] - box[1]))
    if image.format == "JPEG" and needed < 1:
        image.draft("L", (max(1, round(image.width * needed)), max(1, round(image.height * needed))))
    elif image.format == "JPEG":
        image.draft("L", image.size)
    image.load()
    scale = image.width / full_width
    upright = ImageOps.exif_transpose(image)
    left, top = (max(0, round(edge * scale)) for edge in box[:2])
    right = min(upright.width, round(box[2] * scale))
    bottom = min(upright.height, round(box[3] * scale))
    if right <= left or bottom <= top:
        return None
    crop = upright.crop((left, top, right, bottom)).convert("L")
    return crop.resize((_BLUR_SIDE, _BLUR_SIDE), Image.Resampling.BILINEAR)


def _reason(error: Exception, data: bytes) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a supported format ({', '.join(FORMATS)})" if data else "empty file"
    if isinstance(error, Image.DecompressionBombError):
        return "too many pixels"
    return f"unreadable image: {str(error)[:200] or type(error).__name__}"
