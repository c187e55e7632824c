"""Image URIs: schemes, data URIs, and how to show URIs safely."""

import binascii
import hashlib
import re
from typing import NewType
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from pybase64 import b64encode_as_string

from face_import.contract import MAX_URI_BYTES
from face_import.errors import RowError

DataUri = NewType("DataUri", str)
"""A data URI made by `to_data_uri`: plain ASCII that needs no escaping in JSON."""

SHOWN_IN_FULL = 1024
"""Longest data URI, in characters, that a log shows in full (docs/reference/api.md)."""

_PIECES, _END = re.compile(r"[^/@]*[/@]?"), re.compile(r"[/@]")
"""Pieces of a path, each with the following slash or `@`; unambiguous, so matching takes linear time."""
_SHOWN, _LOOKED_AT = 300, 4096
"""Maximum characters of a redacted URI, and of the path examined for it. A cell may have 32 million."""
_UNQUOTED_AT_ONCE = 2**16
"""In characters."""
_AROUND = "".join(map(chr, (*range(33), *range(0x7F, 0xA1), 0xAD, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029)))
_AROUND += "".join(map(chr, (*range(0x202A, 0x2030), 0x205F, *range(0x2060, 0x206A), 0x3000, 0xFEFF)))
_BEGIN = re.compile(r"data:|[a-z][a-z0-9+.-]{1,30}:/", re.IGNORECASE)
_PREFIX = "data:application/octet-stream;base64,"


class DataUriError(RowError):
    """A data URI is malformed or too large."""


def scheme_of(uri: str) -> str:
    """Return the lower-case scheme of a URI, empty if it has none."""
    scheme, colon, _ = uri[:32].partition(":")
    return scheme.lower() if colon else ""


def cleaned(uri: str) -> str:
    """The URI without white space, control characters and characters without width around it."""
    return uri.strip(_AROUND)


def looks_like_uri(cell: str) -> bool:
    """Whether a cell begins like a URI; a drive letter does not."""
    return bool(_BEGIN.match(cleaned(cell[:64])))


def to_data_uri(data: bytes) -> DataUri:
    """Encode bytes as the face services expect them: `data:application/octet-stream;base64,...`."""
    return DataUri(_PREFIX + b64encode_as_string(data))


def decode_data_uri(uri: str, max_bytes: int) -> bytes:
    """Return the bytes of a data URI (RFC 2397), base64 or percent-encoded.

    Base64 is decoded strictly: a cell with stray characters was damaged, and its image with it.

    Raises:
        DataUriError: not a data URI, damaged, or larger than `max_bytes`.
    """
    header, comma, payload = uri.partition(",")
    if not comma or scheme_of(header) != "data":
        raise DataUriError("not a data URI: no comma after the media type (in a CSV file, a data URI must be quoted)")
    if not payload.isascii():
        raise DataUriError("not a data URI: non-ASCII characters")
    is_base64 = header.lower().endswith(";base64")
    least = len(payload) - 2 * payload.count("%")
    if (least // 4 * 3 if is_base64 else least) > max_bytes + 2:  # before decoding, to save memory
        raise DataUriError(f"larger than {max_bytes} bytes")
    raw = _unquoted(payload) if "%" in payload else payload
    if not is_base64:
        return _bounded(raw if isinstance(raw, bytes) else raw.encode(), max_bytes)
    try:
        return _bounded(binascii.a2b_base64(raw, strict_mode=True), max_bytes)
    except binascii.Error as error:
        reason = str(error)
        raise DataUriError(f"damaged base64: {reason[:1].lower()}{reason[1:]}") from None


def _unquoted(text: str) -> bytes:
    """Undo percent-encoding in chunks: Python creates an object per escape, gigabytes for a cell of 30 MB."""
    pieces, start = [], 0
    while start < len(text):
        end = start + _UNQUOTED_AT_ONCE
        cut = text.rfind("%", max(start + 1, end - 2), end)  # not in the middle of %41
        end = cut if cut >= 0 and end < len(text) else end
        pieces.append(unquote_to_bytes(text[start:end]))
        start = end
    return b"".join(pieces)


def display(uri: str) -> str:
    """Return the URI for display: a long data URI as media type, length and SHA-256 of its text.

    Other URIs are shown in full, so that a failed row can be found and retried; only the beginning is shown of one that
    is longer than allowed.
    """
    is_data = scheme_of(uri) == "data"
    if len(uri) <= (SHOWN_IN_FULL if is_data else MAX_URI_BYTES):
        return uri
    header, comma, _ = uri.partition(",")
    text = uri.encode("utf-8", "surrogatepass")
    shown = f"{header}," if comma and len(header) <= 100 else "data:"
    if not is_data:
        shown = uri[:100]
    return f"{shown}… ({len(text)} bytes, sha256 {hashlib.sha256(text).hexdigest()})"


def redact(uri: str) -> str:
    """Return the URI for a log or a task's last error: no user, password, query or fragment, no image data.

    Query strings are removed entirely: every vendor has a different name for the secret in signed URLs.
    """
    if scheme_of(uri) == "data":
        return f"data:… ({len(uri)} characters)"
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(not a URL)"
    host = parts.netloc.rpartition("@")[2]
    whole = _END.search(parts.path, _LOOKED_AT)
    pieces = _PIECES.findall(parts.path, 0, whole.end() if whole else len(parts.path))
    path = "".join(piece for piece in pieces if not _is_userinfo(piece))
    query = "?…" if parts.query else ""
    return f"{urlunsplit((parts.scheme, host, path, '', ''))}{query}"[:_SHOWN]


def _is_userinfo(piece: str) -> bool:
    """Whether it is a user and password, of a URL within another one or of one without slashes."""
    return piece.endswith("@") and ":" in piece


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise DataUriError(f"larger than {max_bytes} bytes")
    return data
