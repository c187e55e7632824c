"""Which picture formats are read, by the import and by the face services alike, and what the others are called."""

import re
from collections.abc import Sequence

from face_import.domain.bounds import ImageError, NotAnImage

Patterns = Sequence[tuple[str, re.Pattern[bytes]]]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000")
"""Pillow's names. Pillow reads more, including formats for which it starts other programs."""

ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC or JPEG 2000"
"""The same for people."""

RAW = "a camera's raw picture (RAW)"

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_TIFF = re.compile(rb"(II[*+]\0|MM\0[*+])(?!.{4}CR)", re.DOTALL)
"""Not Canon's raw files, which are TIFFs with two letters of their own; other makers' are told by their tags."""
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_ANY_BRANDS = frozenset((b"mif1", b"msf1", b"mif2", b"miaf"))
"""Of the container, whatever its codec; the compatible brands name that."""

_BEFORE = b" \t\r\n\xef\xbb\xbf"
"""White space and byte order marks, which programs leave before a picture; no format begins with one of them."""
_LOOKED_AT = 1024
"""Bytes, for what a file is that is no picture."""

_OTHERS = (
    ("a JPEG XL picture", rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n"),
    ("a JPEG XR picture", rb"II\xbc"),
    ("an icon (ICO)", rb"\x00\x00\x01\x00[\x01-\xff]\x00"),
    ("a cursor (CUR)", rb"\x00\x00\x02\x00[\x01-\xff]\x00"),
    ("an Apple icon (ICNS)", rb"icns"),
    ("a PostScript file (PS, EPS)", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("a Photoshop file (PSD)", rb"8BPS"),
    ("a Windows metafile (WMF)", rb"\xd7\xcd\xc6\x9a|\x01\x00\x09\x00\x00\x03"),
    ("a Windows metafile (EMF)", rb"\x01\x00\x00\x00.{36} EMF"),
    ("a PPM, PGM or PBM picture", rb"P[1-7fF]\s"),
    ("a QOI picture", rb"qoif"),
    ("a DDS picture", rb"DDS "),
    ("an OpenEXR picture", rb"v/1\x01"),
    ("a Radiance HDR picture", rb"#\?RADIANCE"),
    ("a DICOM picture", rb".{128}DICM"),
    ("a DjVu document", rb"AT&TFORM"),
    (RAW, rb"II\*\x00|MM\x00\*|IIR[OS]|IIU\x00|FUJIFILMCCD-RAW|\x00MRM|FOVb"),
    ("a video (AVI)", rb"RIFF.{4}AVI "),
    ("a video (WebM, Matroska)", rb"\x1aE\xdf\xa3"),
    ("a video (MPEG)", rb"\x00\x00\x01[\xb3\xba]|G.{187}G"),
    ("a video (Flash)", rb"FLV\x01"),
    ("a video (Windows Media)", rb"0&\xb2u\x8ef\xcf\x11"),
    ("a video (Ogg)", rb"OggS"),
    ("an SVG drawing", rb"(?i:\s*(<\?xml|<!--|<!doctype svg)(?!.*<html).*<svg[\s>]|\s*<svg[\s>])"),
)
"""Formats of pictures and videos that are left out."""
_TEXT = re.compile(rb"[\t\n\f\r\x20-\x7e][\t\n\f\r\x20-\x7e\x80-\xff]{0,63}\Z")
_ERROR_CODE = re.compile(rb"(?i)<Code>([\w.-]{1,60})</Code>")
"""Of an object store, such as AccessDenied."""
_NO_PICTURES = (
    ("a PDF document", rb"%PDF-"),
    ("a ZIP archive or Office document", rb"PK\x03\x04|PK\x05\x06|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("a gzip archive", rb"\x1f\x8b\x08"),
    ("a web page", rb"(?i:<(?:!doctype html|head|body|script|meta|title|p|div|h1)\b|<.*<html\b|<html\b)"),
    ("XML", rb"<"),
    ("JSON", rb"[{\[]\s*(?:[\"{\[\]}\d]|\Z)"),
    ("a multipart answer", rb"--"),
)
"""What comes in place of pictures."""
_HINTS = {"a web page": ": is it behind a login?"}
_PATTERNS, _NO_PICTURE_PATTERNS = (
    tuple((name, re.compile(start, re.DOTALL)) for name, start in table) for table in (_OTHERS, _NO_PICTURES)
)
_CONTAINED = {b"qt  ": "a video (MOV)", b"crx ": RAW} | dict.fromkeys(_ANY_BRANDS, "a HEIF picture of another codec")


def trimmed(data: bytes) -> bytes:
    """The bytes without white space or a byte order mark before them; the same object if there is none."""
    return data.lstrip(_BEFORE) if data[:1] and data[0] in _BEFORE else data


def format_of(data: bytes) -> str:
    """Pillow's name of the accepted format that the first bytes announce; empty if it is none of them."""
    if name := next((name for start, name in _STARTS if data.startswith(start)), ""):
        return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if _TIFF.match(data):
        return "TIFF"
    brands = _brands(data)
    if not brands or brands[0] not in _ANY_BRANDS | _HEIF_BRANDS | _AVIF_BRANDS:
        return ""
    if _AVIF_BRANDS.intersection(brands):
        return "AVIF"
    return "HEIF" if _HEIF_BRANDS.intersection(brands) else ""


def refusal(data: bytes) -> ImageError:
    """The error for a file in none of the accepted formats; says what it is."""
    if not data:
        return ImageError("empty file")
    head = trimmed(data[:_LOOKED_AT])
    if brands := _brands(head):
        return ImageError(unsupported(_CONTAINED.get(brands[0], "a video (MP4)")))
    if name := _named(head, _PATTERNS):
        return ImageError(unsupported(name))
    is_text = _TEXT.match(head[:64]) is not None
    if name := _named(head, _NO_PICTURE_PATTERNS) or ("text" if is_text else ""):
        code = _ERROR_CODE.search(head) if name == "XML" else None
        return NotAnImage(f"{name}, not an image{f': {code[1].decode()}' if code else _HINTS.get(name, '')}")
    return ImageError(f"not a picture of a known format (use {ACCEPTED})")


def _named(head: bytes, patterns: Patterns) -> str:
    return next((name for name, pattern in patterns if pattern.match(head)), "")


def unsupported(name: str) -> str:
    """The message for a format that is left out."""
    return f"{name}, which is not supported (use {ACCEPTED})"


def _brands(data: bytes) -> list[bytes]:
    """The major and the compatible brands of an ISO base media file."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), len(data), _LOOKED_AT)
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
