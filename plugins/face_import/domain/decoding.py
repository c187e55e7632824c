"""Opening pictures of untrusted bytes: within bounds, and with only the pixels deciding whether they are good.

The import and the face services read pictures with this module, so that none passes the one and fails at the other.
"""

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from face_import.domain.avif import check_avif
from face_import.domain.bounds import CountedFile, ImageError, TooManyPixels, check_side
from face_import.domain.formats import format_of, refusal, trimmed
from face_import.domain.metadata import cleaned, jpeg_of_pixels, orientation, png_of_pixels
from face_import.domain.pixels import eight_bits, joined, opaque, upright
from face_import.domain.tiff import check_tiff

T = TypeVar("T")
Use = Callable[[bytes, ImageFile], T]
"""Gets the bytes that were opened, which may lack some metadata, and the image."""

MAX_SCANS = 64
"""In a JPEG; progressive ones have about ten. Each scan covers the whole image: 75 bytes cost a decoder 20 ms at 50
megapixels, a file of 20 MB an hour and a half.
"""
_DEARER = {"WEBP": 2, "AVIF": 2, "bmp_rle": 8, "jpeg2k": 8}
"""By how much the pixel limit is lower for decoders that take more than eight bytes a pixel, or are slow.

WebP holds four copies of an image, AVIF takes 9 bytes a pixel, JPEG 2000 takes 19 and a second for 3 megapixels; runs
in a BMP are decoded in Python.
"""

_SCAN = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e][\x01-\x04]")
_END = b"\xff\xd9"
_SURPLUS = b"\xfe" * 8
"""Bytes that a decoder ignores behind a whole scan, and takes for pixels in one that is cut off."""
_ORIENTATION, _WHITE_IS_ZERO = 0x112, 262
_DARK = 64
"""Upper byte of 16 bits up to which the brightest pixel is dark: 14 bits or fewer were written into 16."""

# Our own limit is checked before anything is decoded (`max_pixels`).
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata, in text that hostile bytes control: thousands of lines in a task's log.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Leaves EXIF alone, and the image as it lies: `orientation_of` has its direction."""

    def load_end(self) -> None:
        """Nothing: Pillow would read all directories of EXIF, and fail where one is damaged."""


def _heif(file: CountedFile) -> ImageFile:
    from pillow_heif import HeifImageFile  # noqa: PLC0415 - 10 MB that few imports need

    image: ImageFile = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


_OPENERS: dict[str, Callable[[CountedFile], ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # also of phones' files with several pictures: the first one counts
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": _Tiff,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": _heif,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}


def read(data: bytes, max_pixels: int, use: Use[T]) -> T:
    """Open an image and do something with it, which decodes it.

    What fails is opened once more: a JPEG without its metadata and with an end marker, if all of its pixels are there;
    a PNG without what makes it an animation; a JPEG 2000 with an end marker.

    Raises:
        ImageError: it is not an image, not a whole one, or too large; nothing else, whatever the bytes.
    """
    data = trimmed(data)
    try:
        return _used(data, max_pixels, use)
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes make Pillow raise nearly anything
        reason = " ".join(str(error)[:200].split()) or type(error).__name__
    try:
        repaired = _repaired(data, max_pixels)
        if repaired is not None:
            return _used(repaired, max_pixels, use)
    except ImageError:
        raise
    except Exception:  # noqa: BLE001, S110 - the first reason says more
        pass
    raise ImageError(f"unreadable image: {reason}")


def orientation_of(image: ImageFile) -> int:
    """EXIF orientation of a loaded image, 1 to 8; 1 where there is none, or none that can be read."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION)
        return value if isinstance(value, int) else 1
    exif = image.info.get("exif")
    return orientation(exif) if isinstance(exif, bytes) and image.format != "HEIF" else 1


def to_rgb(image: ImageFile) -> Image.Image:
    """The one conversion: an opened image, or the frame it is at, as upright RGB of eight bits.

    Raises:
        Exception: of nearly any kind, if it cannot be decoded; inside `read`, an `ImageError`.
    """
    file, is_deep_colour = image.fp, ";16" in rawmode_of(image) and image.mode in {"RGB", "RGBA"}
    image.load()
    turn = orientation_of(image)
    if is_deep_colour and isinstance(file, CountedFile) and _is_dark(image):
        with type(image)(CountedFile(file.getvalue())) as lower:
            lower.tile = [tile._replace(args=_of_lower_bytes(tile.args)) for tile in lower.tile]
            lower.load()
            return upright(joined(image, lower), turn)
    grey = eight_bits(image)
    if grey is not image and isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_WHITE_IS_ZERO) == 0:
        grey = ImageOps.invert(grey)  # Pillow does it for eight bits only
    return upright(opaque(grey), turn)


def rawmode_of(image: ImageFile) -> str:
    """How the pixels of an image that is not loaded lie in its file, in Pillow's words."""
    args = image.tile[0].args if image.tile else ()
    name = args[0] if isinstance(args, tuple) and args else args
    return name if isinstance(name, str) else ""


def _is_dark(image: Image.Image) -> bool:
    """Whether upper bytes hold so little that the lower ones, which Pillow leaves out, are needed."""
    counts = image.convert("RGB").histogram()
    return not any(any(counts[channel + _DARK : channel + 256]) for channel in (0, 256, 512))


def _of_lower_bytes(args: Any) -> Any:
    """Arguments of a decoder that takes the upper bytes of 16-bit colours, for the lower ones: the other byte order."""
    if isinstance(args, tuple):
        return (_of_lower_bytes(args[0]), *args[1:])
    name, _, order = str(args).partition(";16")
    native = order if order != "N" else {"little": "L", "big": "B"}[sys.byteorder]
    return f"{name};16{'L' if native == 'B' else 'B'}"


def _used(data: bytes, max_pixels: int, use: Use[T]) -> T:
    data = cleaned(data, format_of(data))
    with opened(data, max_pixels) as image:
        return use(data, image)


@contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[ImageFile]:
    """Open an image, without metadata, that can be decoded within the memory and time that `max_pixels` allows.

    Raises:
        ImageError: it cannot; names what is too large. Pillow may raise nearly anything else.
    """
    kind = format_of(data)
    if not kind:
        raise refusal(data)
    blocks = check_tiff(data, max_pixels) if kind == "TIFF" else 0
    if kind == "AVIF":
        check_avif(data, max_pixels // _DEARER[kind])
    with _OPENERS[kind](CountedFile(data)) as image:
        _bound_size(image, max_pixels)
        _bound_scans(data, blocks)
        yield image


def _repaired(data: bytes, max_pixels: int) -> bytes | None:
    match format_of(data):
        case "JPEG":
            return _repaired_jpeg(data, max_pixels)
        case "PNG":
            return png_of_pixels(data, frozenset((b"tRNS",)))
        case "JPEG2000":
            return data + _END
        case _:
            return None


def _repaired_jpeg(jpeg: bytes, max_pixels: int) -> bytes:
    """A JPEG without its metadata and with an end marker.

    Raises:
        ImageError: pixels are missing.
    """
    bare = jpeg_of_pixels(jpeg).rstrip(b"\xff")
    with opened(bare + _END, max_pixels) as one, opened(bare + _SURPLUS + _END, max_pixels) as other:
        one.load()
        other.load()
        if any(one.crop(box).tobytes() != other.crop(box).tobytes() for box in _strips(one)):
            raise ImageError("unreadable image: it is cut off, pixels are missing at its end")
    return bare + _END


def _strips(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    for top in range(0, image.height, 64):
        yield 0, top, image.width, min(image.height, top + 64)


def _bound_size(image: ImageFile, max_pixels: int) -> None:
    width, height = image.size
    pixels = width * height
    if pixels > max_pixels:
        raise TooManyPixels(f"{width}x{height} pixels, more than {max_pixels}")
    check_side("image", width, height)
    decoder = image.tile[0][0] if image.tile else ""
    share = _DEARER.get(decoder) or _DEARER.get(image.format or "", 1)
    if pixels > max_pixels // share:
        raise TooManyPixels(f"{image.format} of {width}x{height} pixels, more than {max_pixels // share} of its kind")


def _bound_scans(data: bytes, blocks: int) -> None:
    """Reject a JPEG with too many scans; a TIFF may contain a JPEG for each of its blocks."""
    allowed = MAX_SCANS + 4 * blocks
    if any(number > allowed for number, _ in enumerate(_SCAN.finditer(data), 1)):
        raise ImageError(f"more than {allowed} scans")
