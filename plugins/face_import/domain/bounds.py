"""How much decoding an image may take, whatever its size says; each bound is far above what cameras write."""

from io import BytesIO

from face_import.errors import RowError

MAX_SIDE = 2**16 - 1
"""In pixels, as in a JPEG. Decoders hold several copies of whole rows: one of 50 megapixels took 820 MB."""
MAX_READS = 2**20
"""Reads of a file by Pillow's Python code: a few, with objects, for each segment, chunk, block, tag or run of pixels.
An image of 20 MB takes some thousands.
"""
MAX_METADATA = 2**20
"""Bytes of metadata of one kind that are handed to Pillow, which parses some of it; cameras write some ten thousand."""

_BYTES_A_PIXEL, _FIXED_BYTES = 8, 2**24


class ImageError(RowError):
    """Bytes are not a complete, readable image within the limits."""


class NotAnImage(ImageError):
    """The file is something else: a page, an error, a document."""


class TooManyPixels(ImageError):
    """An image is larger than `max_pixels`, or than what its kind may have of it; callers add the setting's name."""


class CountedFile(BytesIO):
    """A file that limits the number of reads, however small."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes.

        Raises:
            ImageError: the number of reads is exceeded.
        """
        self._left -= 1
        if self._left < 0:
            raise ImageError(f"more than {MAX_READS} parts to read")
        return super().read(size)


def check_memory(what: str, needed: int, max_pixels: int) -> None:
    """Reject what takes a decoder more memory than an image of the largest size.

    Raises:
        ImageError: names it.
    """
    allowed = _BYTES_A_PIXEL * max_pixels + _FIXED_BYTES
    if needed > allowed:
        raise ImageError(f"{what} takes {needed} bytes to decode, more than {allowed}")


def check_side(what: str, width: int, height: int) -> None:
    """Reject an image, or a part of one, that is too wide or too high.

    Raises:
        ImageError: names it.
    """
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"{what} of {width}x{height} pixels, a side above {MAX_SIDE}")
