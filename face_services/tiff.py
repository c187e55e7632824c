"""TIFF directories, checked before Pillow and libtiff read them: they allocate and repeat whatever one says."""

import struct
from collections.abc import Iterator
from struct import calcsize, unpack_from
from typing import NamedTuple

from face_services.errors import BadImage

MOST_SIDE = 2**16 - 1
MOST_VALUES = 2**18
"""Maximum values in a directory, and strips or tiles. Pillow creates an object of 300 bytes for each fraction."""
_MOST_TAGS, _MOST_DIRECTORIES = 4096, 8

_WIDTH, _HEIGHT, _ROWS, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_BITS, _COMPRESSION, _SAMPLES = 258, 259, 277
_SINGLE = frozenset({_WIDTH, _HEIGHT, _ROWS, _TILE_WIDTH, _TILE_HEIGHT, _BITS, _COMPRESSION, _SAMPLES})
_PLACES = frozenset({273, 279, 324, 325})
_DIRECTORIES = frozenset({34665, 34853, 40965})
_TEXTS = frozenset({1, 2, 6, 7})
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_TIMES = {1: 0, 6: 3, 7: 3, 50001: 4}
"""Copies of a strip or tile in memory while it is decoded: none of raw ones, several of JPEG and WebP."""


class _Form(NamedTuple):
    """Byte order, and whether offsets have eight bytes instead of four."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        """The `struct` format of an offset; counts of values have the same."""
        return "Q" if self.big else "I"


def check_tiff(data: bytes, max_pixels: int) -> None:
    """Rejects a TIFF that takes much more memory than its pixels.

    Raises:
        BadImage: strips, tiles or tags are too large or too many.
    """
    form = _Form("<" if data.startswith(b"II") else ">", big=data[2:3] == b"+")
    try:
        (start,) = unpack_from(form.order + form.offset, data, 8 if form.big else 4)
        single, named = _read(data, start, form)
    except struct.error:
        raise BadImage("image is cut off within a TIFF directory") from None
    _check_layout(single, named, max_pixels)


def _entries(data: bytes, at: int, form: _Form) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, number of values and, for relevant tags, the first value."""
    (count,) = unpack_from(form.order + ("Q" if form.big else "H"), data, at)
    if count > _MOST_TAGS:
        raise BadImage(f"TIFF directory has {count} tags, at most {_MOST_TAGS} are allowed")
    size, inline = (20, 8) if form.big else (12, 4)
    at += 8 if form.big else 2
    for place in range(at, at + size * count, size):
        tag, kind, values = unpack_from(f"{form.order}HH{form.offset}", data, place)
        first = 0
        if tag in _SINGLE | _DIRECTORIES:
            if kind not in _NUMBERS:
                raise BadImage(f"TIFF tag {tag} is not a number")
            where = place + size - inline
            if calcsize(f"={_NUMBERS[kind]}") * values > inline:
                (where,) = unpack_from(form.order + form.offset, data, where)
            (first,) = unpack_from(form.order + _NUMBERS[kind], data, where)
        yield tag, kind, values, first


def _read(data: bytes, start: int, form: _Form) -> tuple[dict[int, int], int]:
    """The first directory's layout, and its number of strips or tiles; also limits the other directories."""
    single, named = dict[int, int](), 0
    waiting, seen = [start], {start}
    while waiting:
        at, total = waiting.pop(), 0
        for tag, kind, values, first in _entries(data, at, form):
            total += values if kind not in _TEXTS and tag not in _PLACES else 0
            if tag in _DIRECTORIES and first not in seen and first < len(data):
                seen.add(first)
                waiting.append(first)
            if at == start:
                if tag in single:
                    raise BadImage(f"TIFF tag {tag} is given twice")
                single |= {tag: first} if tag in _SINGLE else {}
                named = max(named, values if tag in _PLACES else 0)
        if total > MOST_VALUES or len(seen) > _MOST_DIRECTORIES:
            raise BadImage(f"TIFF directory has {total} values, at most {MOST_VALUES} are allowed")
    return single, named


def _check_layout(single: dict[int, int], named: int, max_pixels: int) -> None:
    """Limits each strip or tile, their total, and their offsets."""
    width, height = single.get(_WIDTH, 0), single.get(_HEIGHT, 0)
    rows = min(single.get(_ROWS) or height, height)
    across, down = single.get(_TILE_WIDTH, width) or 1, single.get(_TILE_HEIGHT, rows) or 1
    if max(across, down, width, height) > MOST_SIDE or across * down > max_pixels:
        raise BadImage(f"TIFF strip or tile has {across}x{down} pixels, at most {max_pixels} are allowed")
    blocks = -(-width // across) * -(-height // down)
    samples = max(1, single.get(_SAMPLES, 1))
    if blocks > MOST_VALUES or named > 64 + blocks * samples:
        raise BadImage(f"TIFF has {max(blocks, named)} strips or tiles, too many for {width}x{height} pixels")
    if blocks * across * down > 2 * max_pixels:  # parts beyond the edges may double it
        raise BadImage(
            f"TIFF strips or tiles have {blocks * across * down} pixels together, more than {2 * max_pixels}"
        )
    held = across * down * samples * max(1, single.get(_BITS, 1)) // 8 * _TIMES.get(single.get(_COMPRESSION, 1), 1)
    if held + 4 * width * height > 8 * max_pixels + 2**24:
        raise BadImage(f"TIFF strip or tile of {across}x{down} pixels takes {held} bytes to decode")
