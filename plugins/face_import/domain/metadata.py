"""The metadata in a picture's bytes: left out before Pillow sees it, save the orientation, which is read here.

Pillow fails at metadata that is damaged, and is kept busy by what is huge; only the pixels are to decide (decision 22).
"""

import re
import struct
import zlib
from struct import unpack_from

from face_import.domain.bounds import MAX_METADATA, MAX_READS, ImageError

PIXEL_CHUNKS = frozenset((b"tRNS", b"acTL", b"fcTL", b"fdAT"))
"""What belongs to the pixels of a PNG beside its critical chunks, which have a capital letter."""

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_FEW_BYTES = 2**20
"""Too few to hold much EXIF."""
_EXIF_PIECES = 16
"""Of at most 64 KiB each; Pillow joins and parses them when it opens a JPEG."""
_METADATA_ITEM = re.compile(rb"(infe.{8})(?:Exif|mime)", re.DOTALL)
_ORIENTATION = 0x112


def cleaned(data: bytes, kind: str) -> bytes:
    """The bytes without the metadata that Pillow would read, and fail at or be kept busy by."""
    if kind == "PNG":
        return png_of_pixels(data)
    if kind in {"AVIF", "HEIF"}:  # their direction is a property of the image, not EXIF's
        return _METADATA_ITEM.sub(rb"\1skip", data)
    if kind == "JPEG" and len(data) > _FEW_BYTES and data.count(b"Exif\0\0") > _EXIF_PIECES:
        return jpeg_of_pixels(data)
    return data


def png_of_pixels(data: bytes, wanted: frozenset[bytes] = PIXEL_CHUNKS) -> bytes:
    """A PNG's chunks that its pixels and its direction need, and its end, which may have been missing.

    Pillow fails at text or a profile that is large or compressed, and at wrong checksums of anything.
    """
    kept, at = [data[:8]], 8
    for _ in range(MAX_READS):
        if at + 8 > len(data):
            return b"".join((*kept, _PNG_END if at == len(data) else b""))
        length, kind = unpack_from(">I4s", data, at)
        end = at + 12 + length
        if not kind[0] & 0x20 or kind in wanted or (kind == b"eXIf" and _is_turn(data, at, end)):
            kept.append(data[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    raise ImageError(f"more than {MAX_READS} parts to read")


def _is_turn(data: bytes, at: int, end: int) -> bool:
    """Whether a chunk of EXIF is small, whole, has the right checksum, and turns the image."""
    if end - at > MAX_METADATA or end > len(data):
        return False
    is_whole = zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
    return is_whole and orientation(data[at + 8 : end - 4]) != 1


def jpeg_of_pixels(jpeg: bytes) -> bytes:
    """A JPEG without segments of applications, except those that say what its colours are, and the first EXIF."""
    kept, at, has_exif = [jpeg[:2]], 2, False
    for _ in range(MAX_READS):
        if not jpeg.startswith(b"\xff", at) or at + 4 > len(jpeg) or jpeg[at + 1] == 0xDA:
            return b"".join(kept) + jpeg[at:]
        if jpeg[at + 1] == 0xFF:  # filling
            at += 1
            continue
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        marker, content = jpeg[at + 1], jpeg[at + 4 : at + 10]
        is_exif = marker == 0xE1 and content == b"Exif\0\0" and not has_exif
        has_exif |= is_exif
        colours = (marker == 0xE0 and content[:5] == b"JFIF\0") or (marker == 0xEE and content[:5] == b"Adobe")
        if is_exif or (colours and end >= at + 16) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(jpeg[at:end])
        at = end
    raise ImageError(f"more than {MAX_READS} parts to read")


def orientation(exif: bytes) -> int:
    """The orientation of EXIF, without Pillow: it fails at damaged EXIF, and creates objects for every value."""
    start = 6 if exif.startswith(b"Exif\0\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2], "")
    try:
        at = start + unpack_from(f"{order}I", exif, start + 4)[0] + 2
        for place in range(at, at + 12 * unpack_from(f"{order}H", exif, at - 2)[0], 12):
            tag, type_ = unpack_from(f"{order}HH", exif, place)
            if tag == _ORIENTATION:
                value: int = unpack_from(f"{order}H" if type_ == 3 else f"{order}I", exif, place + 8)[0]
                return value if value in range(1, 9) else 1
    except struct.error:
        pass
    return 1
