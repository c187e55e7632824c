"""Image URIs: how cells have them, their schemes, and how to show them safely."""

import hashlib
import json
import re
from typing import NewType
from urllib.parse import urlsplit, urlunsplit

from pybase64 import b64encode_as_string

DataUri = NewType("DataUri", str)
"""A data URI made by `to_data_uri`: plain ASCII that needs no escaping in JSON."""

SHOWN_IN_FULL = 1024
"""Longest data URI, in characters, that a log shows in full (docs/reference/api.md)."""

MAX_SHOWN_BYTES = 1500
"""Bytes in JSON that a log has for a URI: with its message, a line stays below 2 kB."""

_BEGINNING_SHOWN, _HEADER_SHOWN, _ENDING = 200, 100, 100
"""Characters that are shown of a shortened URI, of a data URI, and those that tell a shortened one from others."""
_SHORTENED = re.compile(r"… \(\d{1,10} bytes, sha256 [0-9a-f]{64}\)\Z")
_BEGINNING = 64
"""Characters of a cell that are searched for its scheme."""
_URI = re.compile(r"data:|[a-z][a-z0-9+.-]{1,30}:/", re.IGNORECASE)
_UNSEEN = "".join(
    chr(code)
    for first, last in (
        (0x00, 0x20),
        (0x7F, 0xA0),
        (0xAD, 0xAD),
        (0x061C, 0x061C),
        (0x1680, 0x1680),
        (0x180E, 0x180E),
        (0x2000, 0x200F),
        (0x2028, 0x202F),
        (0x205F, 0x206F),
        (0x3000, 0x3000),
        (0xFEFF, 0xFEFF),
    )
    for code in range(first, last + 1)
)
"""White space of every kind, control characters, and characters without width, such as byte order and direction marks.
"""
_PIECES, _END = re.compile(r"[^/@]*[/@]?"), re.compile(r"[/@]")
"""Pieces of a path, each with the following slash or `@`; unambiguous, so matching takes linear time."""
_SHOWN, _LOOKED_AT = 300, 4096
"""Maximum characters of a redacted URI, and of the path examined for it. A cell may have 32 million."""
_PREFIX = "data:application/octet-stream;base64,"


def scheme_of(uri: str) -> str:
    """Return the lower-case scheme of a URI, empty if it has none."""
    scheme, colon, _ = uri[:32].partition(":")
    return scheme.lower() if colon else ""


def to_data_uri(data: bytes) -> DataUri:
    """Encode bytes as the face services expect them: `data:application/octet-stream;base64,...`."""
    return DataUri(_PREFIX + b64encode_as_string(data))


def cleaned(uri: str) -> str:
    """Return a cell's URI without what surrounds it unseen: white space, control and zero-width characters."""
    return uri.strip(_UNSEEN)


def looks_like_uri(cell: str) -> bool:
    """Whether a cell begins like a URL or a data URI; neither `C:/` nor `Remark: x` does."""
    return bool(_URI.match(cleaned(cell[:_BEGINNING])))


def display(uri: str) -> str:
    """Return the URI for a log: a long one as its beginning, length and SHA-256.

    A data URI is long from `SHOWN_IN_FULL` characters, any other from `MAX_SHOWN_BYTES`, so that an ordinary failed row
    can be found and retried by what the log says.
    """
    is_data = scheme_of(uri) == "data"
    if len(uri) <= (SHOWN_IN_FULL if is_data else MAX_SHOWN_BYTES) and _fits(uri):
        return uri
    header, comma, _ = uri[: _HEADER_SHOWN + 1].partition(",")
    text = uri.encode("utf-8", "surrogatepass")
    shown = f"{header}," if comma else "data:"
    if not is_data:
        shown = uri[:_BEGINNING_SHOWN]
    return f"{shown}… ({len(text)} bytes, sha256 {hashlib.sha256(text).hexdigest()})"


def is_shortened(shown: str) -> bool:
    """Whether `display` has shortened this one."""
    return bool(_SHORTENED.search(shown[-_ENDING:]))


def _fits(uri: str) -> bool:
    """Whether a log's line has room for it; quotes and control characters take more than one byte there."""
    most_of_one = 6
    if len(uri) * most_of_one <= MAX_SHOWN_BYTES:
        return True
    return len(json.dumps(uri, ensure_ascii=False).encode("utf-8", "surrogatepass")) <= MAX_SHOWN_BYTES + 2


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
