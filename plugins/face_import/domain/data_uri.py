"""Reading the data URIs of a source as a browser does, and saying what is wrong with one that cannot be read."""

import binascii
import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from face_import.domain.uri import scheme_of
from face_import.errors import RowError

_AT_ONCE = 2**16
"""In characters."""
_LOOKED_AT = 256
"""Characters of a header or payload that are searched for well-known mistakes."""
_SURELY_HAS_PLUS = 1024
"""Characters of an image in base64 that would have a `+` somewhere: without one, a chance in ten million."""
_SAMPLE = 2**16

_WHITE_SPACE = " \t\n\f\r"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_IS_BASE64 = re.compile(r"; *base64[ \t\n\f\r]*\Z", re.IGNORECASE)
_BASE64_ELSEWHERE = re.compile(r"; *base64 *(?:;|\Z)", re.IGNORECASE)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\-_ \t\n\f\r]")
_IMAGE_STARTS = ("/9j/", "_9j_", "iVBORw0K", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0AK")
"""JPEG (in both alphabets), PNG, GIF, WebP, BMP and TIFF in base64."""
_SHORTEST = 16
"""Characters of base64 that are not taken for a name."""


class DataUriError(RowError):
    """A data URI is malformed or too large."""


def decode_data_uri(uri: str, max_bytes: int) -> bytes:
    """Return the bytes of a data URI (RFC 2397), base64 or percent-encoded.

    Base64 is read by the WHATWG's forgiving rules: white space is ignored and padding optional. The URL-safe alphabet
    is accepted too.

    Raises:
        DataUriError: not a data URI, damaged, or larger than `max_bytes`; the text says what is wrong with it.
    """
    comma = uri.find(",")
    if comma < 0 or scheme_of(uri[:comma]) != "data":
        raise DataUriError("not a data URI: no comma after the media type (in a CSV file, a data URI must be quoted)")
    start = comma + 1
    is_base64 = bool(_IS_BASE64.search(uri, max(0, comma - _LOOKED_AT), comma))
    _check_size(uri, start, max_bytes, is_base64=is_base64)
    if is_base64:
        if "%" in uri and _is_ascii(uri, start):
            uri, start = _unquoted(uri, start).decode("latin-1"), 0
        return _bounded(_from_base64(uri, start), max_bytes)
    if _BASE64_ELSEWHERE.search(uri, 0, min(comma, _LOOKED_AT)):
        raise DataUriError("';base64' must be the last thing before the comma")
    if is_base64_image(uri[start : start + _LOOKED_AT]):
        raise DataUriError("';base64' is missing before the comma")
    if not _is_ascii(uri, start):
        raise DataUriError("not a data URI: non-ASCII characters")
    return _bounded(_unquoted(uri, start) if "%" in uri else uri[start:].encode(), max_bytes)


def is_base64_image(text: str) -> bool:
    """Whether a text begins like an image in base64, without anything before it."""
    head = text[:_LOOKED_AT]
    return head.startswith(_IMAGE_STARTS) and len(head) >= _SHORTEST and not _NOT_BASE64.search(head)


def _check_size(uri: str, start: int, max_bytes: int, *, is_base64: bool) -> None:
    """Reject what is certainly too large before it is decoded, to save memory."""
    least = len(uri) - start - 2 * uri.count("%", start)
    most = (max_bytes + 2) // 3 * 4 + 4 if is_base64 else max_bytes
    if is_base64 and least > most:  # wrapped lines make it a little longer
        least -= sum(uri.count(white, start) for white in _WHITE_SPACE)
    if least > most:
        raise DataUriError(f"larger than {max_bytes} bytes")


def _is_ascii(uri: str, start: int) -> bool:
    return uri.isascii() or uri[start:].isascii()


def _from_base64(text: str, start: int) -> bytes:
    """Decode clean base64 at once, and anything else by the forgiving rules."""
    if not _is_ascii(text, start):
        raise DataUriError(_flaw(text[start:]))
    with suppress(binascii.Error):
        data = binascii.a2b_base64(text[start:], strict_mode=True)
        # Python takes any number of `=` after a complete group
        if len(data) == (len(text) - start) // 4 * 3 - text[-2:].count("="):
            return data
        del data
    if _lost_its_plus(text, start):
        raise DataUriError(_LOST_PLUS)
    with suppress(binascii.Error):
        return _forgiving(text, start)
    raise DataUriError(_flaw(text[start:]))


def _forgiving(text: str, start: int) -> bytes:
    """Decode base64 by https://infra.spec.whatwg.org/#forgiving-base64-decode, and the URL-safe alphabet.

    Raises:
        binascii.Error: it is not base64.
    """
    decoded, rest = [], b""
    for at in range(start, len(text), _AT_ONCE):
        piece = rest + text[at : at + _AT_ONCE].encode().translate(_STANDARD, _WHITE_SPACE.encode())
        whole = max(0, len(piece) // 4 * 4 - 4)  # the last group may be padded
        if piece.find(b"=", 0, whole) >= 0:
            raise binascii.Error
        decoded.append(binascii.a2b_base64(piece[:whole], strict_mode=True))
        rest = piece[whole:]
    digits = rest.rstrip(b"=")
    padding = len(rest) - len(digits)
    if padding > 2 or (padding and len(rest) % 4):
        raise binascii.Error
    decoded.append(binascii.a2b_base64(digits + b"=" * (-len(digits) % 4), strict_mode=True))
    return b"".join(decoded)


_LOST_PLUS = "damaged base64: spaces where a '+' was: it was URL-decoded once too often"


def _lost_its_plus(uri: str, start: int) -> bool:
    """Whether each `+` of an image has become a space; without them, other bytes would be decoded.

    Lines of the same length that are separated by spaces are none of that kind.
    """
    has_others = any(uri.find(mark, start) >= 0 for mark in "+-\n\r")
    if len(uri) - start < _SURELY_HAS_PLUS or uri.find(" ", start) < 0 or has_others:
        return False
    sample = uri[start : start + _SAMPLE].split()  # a cell may have 32 million spaces
    first, *others, last = map(len, sample if len(sample) > 1 else ("", ""))
    return first % 4 != 0 or last > first or any(length != first for length in others)


def _flaw(text: str) -> str:
    """What is wrong with a text that is not base64."""
    if mistake := _mistake(text[:_LOOKED_AT].lstrip(_WHITE_SPACE).lower()):
        return mistake
    if stray := _NOT_BASE64.search(text):
        return f"not base64: character {stray.group()!r} at position {stray.start() + 1} after the comma"
    end = text.find("=")
    if end >= 0 and text[end:].strip(f"={_WHITE_SPACE}"):
        return f"damaged base64: '=' at position {end + 1} after the comma, before the end"
    if " " in text.strip(_WHITE_SPACE) and "+" not in text:
        return _LOST_PLUS
    if end >= 0:
        return "damaged base64: its length does not match the '=' at its end"
    return "damaged base64: characters are missing at its end"


def _mistake(head: str) -> str:
    """A well-known way to write something else in front of base64, or empty."""
    if head.startswith("data:"):
        return "the prefix data:...;base64, is there twice: remove one"
    if head.startswith(("b'", 'b"')):
        return "Python's b'...' is around the base64: use .decode() where the file is written"
    return ""


def _unquoted(uri: str, start: int) -> bytes:
    """Undo percent-encoding in chunks: Python creates an object per escape, gigabytes for a cell of 30 MB."""
    pieces = []
    while start < len(uri):
        end = start + _AT_ONCE
        cut = uri.rfind("%", max(start + 1, end - 2), end)  # not in the middle of %41
        end = cut if cut >= 0 and end < len(uri) else end
        pieces.append(unquote_to_bytes(uri[start:end]))
        start = end
    return b"".join(pieces)


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise DataUriError(f"larger than {max_bytes} bytes")
    return data
