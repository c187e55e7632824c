"""Image checks: whether an image decodes completely, its size, what of it is sent, and the blur of a face in it."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from struct import Struct

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from face_import.domain.blur import SIDE, blur_of_face
from face_import.domain.bounds import ImageError, TooManyPixels
from face_import.domain.decoding import orientation_of, rawmode_of, read, to_rgb
from face_import.domain.pixels import eight_bits, has_transparency, opaque, upright

SMALL_BYTES, SMALL_PIXELS = 2**17, 2**20
"""Limits for a JPEG that usually decodes in a millisecond or two, and in 30 ms at worst."""

MAX_FRAMES = 30
"""Of an animation that are searched for a face."""

_SENT_AS_IS = frozenset(("JPEG", "PNG", "WEBP", "BMP", "GIF"))
"""Formats that any face service reads, where a channel has eight bits and nothing is transparent or moves."""
_PLAIN_MODES = frozenset(("1", "L", "P", "RGB"))
_ANIMATED = frozenset(("GIF", "PNG", "WEBP", "AVIF"))
_QUALITIES = (95, 85, 70)
"""Of the JPEG that is sent instead: lower ones only if it would be larger than `_MOST_SENT`."""
_MOST_SENT = 12 * 2**20
_LOOK, _NEARLY_SAME = 32, 4
"""Side to which frames are scaled to compare them, and the mean difference of grey up to which they are the same."""

_FRAME = Struct(">HBHH")
"""Start of a JPEG's frame segment: its length, bits per sample, height, width."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SIDEWAYS = range(5, 9)
"""EXIF orientations that swap width and height."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What was found out about an image.

    Attributes:
        width: in pixels of the upright image.
        height: the same.
        format: Pillow's name of it.
        still: what the face services get: the file as it is, or a JPEG of its (first) picture (ADR 26).
        animated: whether there are further frames, which `later_stills` returns.
    """

    width: int
    height: int
    format: str
    still: bytes
    animated: bool


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
        return read(data, max_pixels, _check)
    except TooManyPixels as error:
        raise ImageError(f"{error}; the limit is FACE_IMPORT_MAX_IMAGE_PIXELS") from None


def later_stills(data: bytes, max_pixels: int) -> list[bytes]:
    """JPEGs of an animation's frames from the second on that may show more than those before them.

    Frames of a single colour and those that look like the last one returned are left out, and all after the first
    `MAX_FRAMES` of the file, or after as many as have twice `max_pixels` together.

    Args:
        data: an animation that passed `check_image`.
        max_pixels: as there.
    """
    return read(data, max_pixels, lambda _, image: list(_stills(image, max_pixels)))


def blur_of(data: bytes, box: tuple[float, float, float, float]) -> int:
    """Measure how blurred a face is: 0 is sharp, 100 is blurred (`blur_of_face`).

    A JPEG is decoded without its colours and no larger than the crop needs.

    Args:
        data: an image that passed `check_image`.
        box: left, top, right and bottom in pixels of the upright image; parts outside are ignored.

    Returns:
        0 to 100; 100 for a box outside the image.

    Raises:
        ImageError: the image cannot be decoded.
    """
    crop = read(data, sys.maxsize, lambda _, image: _grey_crop(image, box))
    return 100 if crop is None else blur_of_face(crop)


def _check(data: bytes, image: ImageFile) -> ImageInfo:
    name, (width, height) = image.format or "", image.size
    animated = name in _ANIMATED and _is_animated(image)
    if name not in _SENT_AS_IS or image.mode not in _PLAIN_MODES or animated or ";16" in rawmode_of(image):
        return _converted(image, animated=animated)
    if name == "JPEG":
        image.draft(image.mode, (max(1, width // 8), max(1, height // 8)))
    image.load()
    orientation = orientation_of(image)
    if has_transparency(image) or (orientation != 1 and name != "JPEG"):
        return _converted(image, animated=False)
    if orientation in _SIDEWAYS:
        width, height = height, width
    return ImageInfo(width, height, name, data, animated=False)


def _converted(image: ImageFile, *, animated: bool) -> ImageInfo:
    still = to_rgb(image)
    return ImageInfo(*still.size, image.format or "", _jpeg(still), animated)


def _is_animated(image: ImageFile) -> bool:
    with suppress(Exception):  # a damaged second frame does not invalidate the first
        return bool(getattr(image, "is_animated", False))
    return False


def _stills(image: ImageFile, max_pixels: int) -> Iterator[bytes]:
    last = _look(to_rgb(image))
    frames = min(MAX_FRAMES, max(2, 2 * max_pixels // (image.width * image.height)))
    for number in range(1, frames):
        try:
            image.seek(number)
            frame = to_rgb(image)
        except Exception:  # noqa: BLE001 - the last frame, or a damaged one: it ends the search, not the row
            return
        look = _look(frame)
        if np.ptp(look) > _NEARLY_SAME and np.abs(look - last).mean() > _NEARLY_SAME:
            last = look
            yield _jpeg(frame)


def _look(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(image.convert("L").resize((_LOOK, _LOOK), Image.Resampling.BOX), dtype=np.float32)


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    for quality in _QUALITIES:
        out = BytesIO()
        image.save(out, "JPEG", quality=quality, comment=b"")  # Pillow would take over that of the file
        if out.tell() <= _MOST_SENT:
            break
    return out.getvalue()


def _grey_crop(image: ImageFile, box: tuple[float, float, float, float]) -> Image.Image | None:
    """Crop the upright image; None if nothing is left."""
    full_width = image.width
    # Twice the final side: then, as measured, scaling in the decoder does not change the blur.
    needed = 2 * SIDE / max(1.0, min(box[2] - box[0], box[3] - box[1]))
    if image.format == "JPEG" and needed < 1:
        image.draft("L", (max(1, round(image.width * needed)), max(1, round(image.height * needed))))
    elif image.format == "JPEG":
        image.draft("L", image.size)
    image.load()
    scale = image.width / full_width
    turned = upright(eight_bits(image), orientation_of(image))
    left, top = (max(0, round(edge * scale)) for edge in box[:2])
    right = min(turned.width, round(box[2] * scale))
    bottom = min(turned.height, round(box[3] * scale))
    if right <= left or bottom <= top:
        return None
    return opaque(turned.crop((left, top, right, bottom))).convert("L")
