"""TIFF directories, checked before Pillow and libtiff read them: both allocate and repeat whatever one says."""

import struct
from collections.abc import Iterator
from struct import calcsize, unpack_from
from typing import NamedTuple

from face_import.domain.bounds import ImageError, TooManyPixels, check_memory, check_side
from face_import.domain.formats import RAW, unsupported

MAX_BLOCKS = 2**18
"""Strips or tiles of a TIFF: 50 megapixels in the smallest tiles are 200,000."""
MAX_VALUES = 2**18
"""Numbers in a directory of a TIFF. Pillow creates an object of 300 bytes for each fraction."""
_MAX_TAGS = 4096
"""Per directory; libtiff's own limit. Pillow takes 4 seconds for a million."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277
_ROWS, _TILE_WIDTH, _TILE_HEIGHT, _ORIENTATION = 278, 322, 323, 274
_SINGLE = frozenset({_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _TILE_WIDTH, _TILE_HEIGHT})
"""Tags that determine allocations; they must be unique, so that Pillow and libtiff read the same ones."""
_STRIPS, _TILES = 273, 324
_PLACES = frozenset({_STRIPS, 279, _TILES, 325})
_KIND, _PARTS, _DNG = 254, 330, 50706
"""What the directory's picture is (1: a smaller copy), further directories, and the version of a digital negative."""

_READ = _SINGLE | {_ORIENTATION, _KIND}
_UNSIGNED = {1: "B", 3: "H", 4: "I", 16: "Q"}
_NUMBERS = _UNSIGNED | {6: "b", 8: "h", 9: "i", 13: "I"}
_TEXTS = frozenset({1, 2, 6, 7})
"""Types that remain bytes."""
_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_UNCOMPRESSED = 1
_TIMES = {6: 3, 7: 3, 50001: 4}
"""Memory of JPEG and WebP inside a TIFF as a multiple of a block's, coefficients included; others take one."""
_SLACK = 64
"""Offsets beyond the number of blocks, which some writers leave."""


class _Entry(NamedTuple):
    tag: int
    type: int
    values: int
    """Number of values."""
    value: int
    """The first value, if it is an integer, else 0."""


class _Grid(NamedTuple):
    """How an image is divided into strips or tiles of one size."""

    name: str
    width: int
    height: int
    block_width: int
    block_height: int


def check_tiff(data: bytes, max_pixels: int) -> int:
    """Reject a TIFF that takes much more memory than its pixels.

    Returns:
        Number of strips or tiles; 0 if it is not a TIFF.

    Raises:
        ImageError: names what is too large or too many.
    """
    order = "<" if data.startswith(b"II") else ">"
    if data[2:4] not in {b"*\0", b"\0*", b"+\0", b"\0+"}:
        return 0
    big = data[2] == 43  # as Pillow has it: of the wide ones it reads the little-endian
    try:
        (start,) = unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)
        entries = list(_directory(data, start, order, big=big))
    except struct.error:
        raise ImageError("unreadable image: cut off within a TIFF directory") from None
    _check_values(entries, len(data))
    _check_camera(entries)
    return _check_layout(entries, max_pixels)


def _directory(data: bytes, at: int, order: str, *, big: bool) -> Iterator[_Entry]:
    (count,) = unpack_from(f"{order}Q" if big else f"{order}H", data, at)
    if count > _MAX_TAGS:
        raise ImageError(f"TIFF directory of {count} tags, more than {_MAX_TAGS}")
    shape, size, inline = (f"{order}HHQ", 20, 8) if big else (f"{order}HHI", 12, 4)
    at += 8 if big else 2
    for place in range(at, at + count * size, size):
        tag, type_, values = unpack_from(shape, data, place)
        value, number = 0, _NUMBERS.get(type_)
        if number and tag in _READ:
            where = place + size - inline
            if calcsize(f"={number}") * values > inline:
                (where,) = unpack_from(f"{order}Q" if big else f"{order}I", data, where)
            (value,) = unpack_from(order + number, data, where)
        yield _Entry(tag, type_, values, value)


def _check_values(entries: list[_Entry], size: int) -> None:
    """Limit the values that Pillow creates objects for; it passes over those that a file of this size cannot hold."""
    numbers = (entry for entry in entries if entry.type not in _TEXTS and entry.tag not in _PLACES)
    values = sum(entry.values for entry in numbers if entry.values * _BYTES.get(entry.type, 1) <= size)
    if values > MAX_VALUES:
        raise ImageError(f"TIFF directory with {values} values, more than {MAX_VALUES}")


def _check_camera(entries: list[_Entry]) -> None:
    """Reject a camera's raw picture: Pillow would read the thumbnail in front of it."""
    kinds = {entry.tag: entry.value for entry in entries}
    if _DNG in kinds or (kinds.get(_KIND) == 1 and _PARTS in kinds):
        raise ImageError(unsupported(RAW))


def _check_layout(entries: list[_Entry], max_pixels: int) -> int:
    """Limit the strips or tiles: each of them, their total, and their offsets."""
    single = dict[int, int]()
    for entry in entries:
        if entry.tag in _SINGLE:
            if entry.tag in single or entry.type not in _UNSIGNED:
                raise ImageError(f"TIFF tag {entry.tag} given twice or not a number")
            single[entry.tag] = entry.value
    width, height = single.get(_WIDTH, 0), single.get(_HEIGHT, 0)
    check_side("TIFF", width, height)
    grids = list[_Grid]()
    if _TILE_WIDTH in single or _TILE_HEIGHT in single:
        grids.append(_Grid("tile", width, height, single.get(_TILE_WIDTH, 0), single.get(_TILE_HEIGHT, 0)))
    if not grids or any(entry.tag == _STRIPS for entry in entries):
        rows = min(single.get(_ROWS) or height, height)  # often billions are named; decoders stop at the image's end
        grids.append(_Grid("strip", width, height, width, rows))
    blocks = max(_checked(grid, max_pixels) for grid in grids)
    turned = any(entry.tag == _ORIENTATION and entry.value != 1 for entry in entries)
    for grid in grids:
        needed = _needed(grid, single) + (2 if turned else 1) * 4 * width * height
        check_memory(f"TIFF {grid.name} of {grid.block_width}x{grid.block_height} pixels", needed, max_pixels)
    named = max((entry.values for entry in entries if entry.tag in _PLACES), default=0)
    allowed = _SLACK + blocks * max(1, single.get(_SAMPLES, 1))
    if named > allowed:
        raise ImageError(f"TIFF with {named} strips or tiles, more than {allowed}")
    return blocks


def _checked(grid: _Grid, max_pixels: int) -> int:
    """Limit the pixels of one strip or tile, and of all; returns their number."""
    width, height = grid.block_width, grid.block_height
    if not (width and height):
        return 0  # decoders reject it
    check_side(f"TIFF {grid.name}", width, height)
    if width * height > max_pixels:
        raise TooManyPixels(f"TIFF {grid.name} of {width}x{height} pixels, more than {max_pixels}")
    blocks = -(-grid.width // width) * -(-grid.height // height)
    if blocks > MAX_BLOCKS:
        raise ImageError(f"TIFF of {blocks} {grid.name}s, more than {MAX_BLOCKS}")
    pixels = blocks * width * height
    if pixels > 2 * max_pixels:  # parts beyond the edges may double it
        raise TooManyPixels(f"TIFF {grid.name}s of {pixels} pixels in total, more than {2 * max_pixels}")
    return blocks


def _needed(grid: _Grid, single: dict[int, int]) -> int:
    """Bytes libtiff takes for a strip or tile; an uncompressed one is read straight into the image."""
    compression = single.get(_COMPRESSION, _UNCOMPRESSED)
    if compression == _UNCOMPRESSED:
        return 0
    bits = max(1, single.get(_BITS, 1)) * max(1, single.get(_SAMPLES, 3))
    return grid.block_width * grid.block_height * bits // 8 * _TIMES.get(compression, 1)
