"""How large the images inside an AVIF are, before they are decoded: its decoder allocates by them, not by the header.

Only what an AVIF's own boxes lead to is looked at: the beginnings of its items (`iloc`) and of the chunks of its tracks
(`stco`, `co64`), where an AV1 stream has its sequence header.
"""

import re
import struct
from collections.abc import Iterator
from struct import unpack_from

from face_import.domain.bounds import ImageError, TooManyPixels

MAX_ITEMS = 4096
"""Items, extents or chunks; a grid of a phone has some fifty."""

_SEQUENCE, _DELIMITER = 1, 2
"""Types of an open bitstream unit."""
_HEADER_BYTES = 256
_BOX = re.compile(rb"iloc|stco|co64")


def check_avif(data: bytes, max_pixels: int) -> None:
    """Reject an AVIF one of whose AV1 streams announces more pixels than `max_pixels`.

    Raises:
        TooManyPixels: names its size.
        ImageError: it has too many parts.
    """
    for count, at in enumerate(_starts(data)):
        if count >= MAX_ITEMS:
            raise ImageError(f"AVIF of more than {MAX_ITEMS} parts")
        try:
            width, height = _frame_size(data, at)
        except (struct.error, IndexError):
            continue
        if width * height > max_pixels:
            raise TooManyPixels(f"AVIF with an image of {width}x{height} pixels, more than {max_pixels}")


def _starts(data: bytes) -> Iterator[int]:
    """Where items and chunks begin."""
    idat = data.find(b"idat") + 4
    for box in _BOX.finditer(data):
        try:
            if box[0] == b"iloc":
                yield from _items(data, box.end(), idat)
            else:
                (count,) = unpack_from(">I", data, box.end() + 4)
                size, form = (4, ">I") if box[0] == b"stco" else (8, ">Q")
                for place in range(box.end() + 8, box.end() + 8 + size * min(count, MAX_ITEMS + 1), size):
                    yield unpack_from(form, data, place)[0]
        except struct.error:  # cut off, or not a box at all
            continue


def _items(data: bytes, at: int, idat: int) -> Iterator[int]:
    """Where each extent of an item location box begins; its sizes of numbers are in its header."""
    version, sizes, bases = data[at], data[at + 4], data[at + 5]
    offset_bytes, length_bytes, base_bytes = sizes >> 4, sizes & 15, bases >> 4
    index_bytes = bases & 15 if version else 0
    place = at + 6

    def number(size: int) -> int:
        nonlocal place
        if place + size > len(data):
            raise struct.error
        place += size
        return int.from_bytes(data[place - size : place], "big")

    wide = 2 if version < 2 else 4
    for _ in range(min(number(wide), MAX_ITEMS + 1)):
        number(wide)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_bytes)
        for _ in range(min(number(2), MAX_ITEMS + 1)):
            number(index_bytes)
            yield base + number(offset_bytes) + (idat if method == 1 else 0)
            number(length_bytes)


def _frame_size(data: bytes, at: int) -> tuple[int, int]:
    """Width and height of the sequence header that an AV1 stream begins with; zeros if it does not."""
    for _ in range(4):
        head = data[at]
        kind, at = head >> 3 & 15, at + 1 + (head >> 2 & 1)
        size, shift = 0, 0
        while head & 2:
            size, shift, at = size | (data[at] & 127) << shift, shift + 7, at + 1
            if data[at - 1] < 128 or shift > 28:
                break
        if kind == _SEQUENCE:
            return _Bits(data[at : at + _HEADER_BYTES]).frame_size()
        if kind != _DELIMITER:
            break
        at += size
    return 0, 0


class _Bits:
    """A sequence header, bit by bit (AV1 specification, 5.5.1)."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & (1 << count) - 1

    def frame_size(self) -> tuple[int, int]:
        self.take(4)
        if self.take(1):  # of a still image
            self.take(5)
        else:
            self._operating_points()
        width_bits, height_bits = self.take(4) + 1, self.take(4) + 1
        return self.take(width_bits) + 1, self.take(height_bits) + 1

    def _operating_points(self) -> None:
        delay_bits = 0
        if self.take(1):
            self.take(64)
            if self.take(1):
                self._skip_number()
            if self.take(1):
                delay_bits = self.take(5) + 1
                self.take(42)
        has_delays = self.take(1)
        for _ in range(self.take(5) + 1):
            self.take(12)
            if self.take(5) > 7:
                self.take(1)
            if delay_bits and self.take(1):
                self.take(2 * delay_bits + 1)
            if has_delays and self.take(1):
                self.take(4)

    def _skip_number(self) -> None:
        """A number of variable length: as many zeros as bits follow the one."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(min(zeros, 32))
