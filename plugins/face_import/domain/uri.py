"""Image URIs: the three kinds a source may name, their bytes, and how to show them without harm."""

import binascii
import hashlib
import re
from typing import NewType
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from pybase64 import b64encode_as_string

from face_import.contract import MAX_URI_BYTES
from face_import.errors import RowError

DataUri = NewType("DataUri", str)
"""A data URI made by `to_data_uri`: plain ASCII with nothing a JSON string would have to escape."""

SHOWN_IN_FULL = 1024
"""Longest data URI, in characters, that a log shows as it stands (docs/reference/api.md)."""

_PIECES, _END = re.compile(r"[^/@]*[/@]?"), re.compile(r"[/@]")
"""Of a path, each with the slash or `@` behind it; no text can be cut in more than one way."""
_SHOWN, _LOOKED_AT = 300, 4096
"""Characters of a redacted URI, and of the path it is made of, to the end of a piece. A cell may have 32 million."""
_UNQUOTED_AT_ONCE = 2**16
"""Characters."""
_PREFIX = "data:application/octet-stream;base64,"


class DataUriError(RowError):
    """A data URI that is not one, or that holds too much."""


def scheme_of(uri: str) -> str:
    """Return the lower-case scheme of a URI, empty if it has none."""
    scheme, colon, _ = uri[:32].partition(":")
    return scheme.lower() if colon else ""


def to_data_uri(data: bytes) -> DataUri:
    """Wrap bytes the way the face services take them: `data:application/octet-stream;base64,...`."""
    return DataUri(_PREFIX + b64encode_as_string(data))


def decode_data_uri(uri: str, max_bytes: int) -> bytes:
    """Return the bytes a data URI holds (RFC 2397), base64 or percent-encoded.

    Base64 is read strictly: a cell with stray characters was damaged on its way, and its picture with it.

    Raises:
        DataUriError: not a data URI, damaged, or more than `max_bytes`; says which.
    """
    header, comma, payload = uri.partition(",")
    if not comma or scheme_of(header) != "data":
        raise DataUriError("not a data URI: no comma after the media type (in a CSV file it has to be in quotes)")
    if not payload.isascii():
        raise DataUriError("not a data URI: characters outside ASCII")
    is_base64 = header.lower().endswith(";base64")
    least = len(payload) - 2 * payload.count("%")
    if (least // 4 * 3 if is_base64 else least) > max_bytes + 2:  # before decoding: the bound may be for want of memory
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
    """Undo percent-encoding a piece at a time: Python makes an object for each sign, gigabytes for a cell of 30 MB."""
    pieces, start = [], 0
    while start < len(text):
        end = start + _UNQUOTED_AT_ONCE
        cut = text.rfind("%", max(start + 1, end - 2), end)  # not in the middle of %41
        end = cut if cut >= 0 and end < len(text) else end
        pieces.append(unquote_to_bytes(text[start:end]))
        start = end
    return b"".join(pieces)


def display(uri: str) -> str:
    """Return the URI for people: a long data URI as media type, length and SHA-256 of its text.

    Anything else stays as it stands in the source, so that a failed row can be found and tried again; but for what is
    longer than a row's URI may be, of which the beginning is shown.
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

    Query strings go as a whole: signed URLs keep their secret under a different name with every vendor.
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
    """Whether it is a user and password, of a URL inside another one or of one that lacks its slashes."""
    return piece.endswith("@") and ":" in piece


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise DataUriError(f"larger than {max_bytes} bytes")
    return data
